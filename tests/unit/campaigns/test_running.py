"""Runs of a campaign: which are made, what is written of them, and what stops them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmflow_bench.campaigns import running
from mmflow_bench.campaigns.asked import Campaign, read_campaign
from mmflow_bench.campaigns.ledger import FILE, Ledger, only_one
from mmflow_bench.campaigns.running import Outcome, carried_out
from mmflow_bench.errors import CampaignError

PYTHON = sys.executable
RUN = """
import json, pathlib, sys, time
folder = pathlib.Path(next(a for a in sys.argv if a.startswith("--mmflow-output=")).split("=")[1])
calls = folder.parents[1] / "calls"
calls.parent.mkdir(exist_ok=True)
number = len(calls.read_text().split()) if calls.exists() else 0
with calls.open("a") as file:
    file.write(f"{folder.name}\\n")
BODY
"""
KEEPS = """
run = folder / f"run-{number}"
run.mkdir(parents=True)
(run / "results.json").write_text("{}")
"""


class Record:
    """What a run says of itself; stands in for the reader of run folders."""

    def __init__(self, why: str) -> None:
        self.results = self
        self.incomplete = why


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    path = tmp_path / "campaign.yaml"
    path.write_text("checkpoints: [planted/mini, {model: planted/base, priority: -1}]")
    return read_campaign(path)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give runs a program of one's own in place of `mmflow run`."""

    def given(body: str, why: str = "") -> None:
        program = tmp_path / "python"
        (tmp_path / "run.py").write_text(RUN.replace("BODY", body))
        program.write_text(f'#!/bin/sh\nexec {PYTHON} {tmp_path / "run.py"} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setattr(running.sys, "executable", str(program))
        monkeypatch.setattr(running, "read_run", lambda _: Record(why))

    return given


def run(campaign: Campaign, *, is_again: bool = False) -> list[Outcome]:
    ledger = Ledger(campaign.output)
    return list(carried_out(campaign, ledger, is_again=is_again, begin=lambda _: None))


def await_calls(campaign: Campaign) -> None:
    deadline = time.monotonic() + 30
    while not calls(campaign):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def calls(campaign: Campaign) -> list[str]:
    path = campaign.output / "calls"
    return path.read_text().split() if path.exists() else []


def test_what_is_done_is_not_run_again_unless_it_is_asked_for(campaign, script):
    script(KEEPS)
    assert [outcome.state for outcome in run(campaign)] == ["done", "done"]
    assert [outcome.state for outcome in run(campaign)] == ["known", "known"]
    assert calls(campaign) == ["planted_mini-core", "planted_base-core"]
    assert [outcome.state for outcome in run(campaign, is_again=True)] == ["done", "done"]
    assert len(calls(campaign)) == 4
    assert len(Ledger(campaign.output).runs(campaign)) == 2


def test_other_options_are_another_run(campaign, script, tmp_path):
    script(KEEPS)
    run(campaign)
    (tmp_path / "campaign.yaml").write_text("checkpoints: [planted/mini]\noptions: {limit: 3}")
    other = read_campaign(tmp_path / "campaign.yaml")
    assert [outcome.state for outcome in run(other)] == ["done"]


def test_other_questions_are_another_run(script, tmp_path):
    script(KEEPS)
    (tmp_path / "q.jsonl").write_text("{}")
    (tmp_path / "c.yaml").write_text("checkpoints: [planted/mini]\noptions: {questions: q.jsonl}")
    campaign = read_campaign(tmp_path / "c.yaml")
    assert [outcome.state for outcome in run(campaign)] == ["done"]
    assert [outcome.state for outcome in run(campaign)] == ["known"]
    (tmp_path / "q.jsonl").write_text("{ }")
    assert [outcome.state for outcome in run(campaign)] == ["done"]


def test_a_run_whose_folder_is_gone_is_made_again(campaign, script):
    script(KEEPS)
    run(campaign)
    for path in campaign.output.glob("runs/planted_mini-core/*/results.json"):
        path.unlink()
    assert [outcome.state for outcome in run(campaign)] == ["done", "known"]


def test_one_that_leaves_nothing_stops_no_other(campaign, script):
    script(f"if 'mini' in folder.name: sys.exit(3)\n{KEEPS}")
    failed, done = run(campaign)
    assert (failed.state, done.state) == ("failed", "done")
    assert "exit code 3" in failed.said
    assert [outcome.state for outcome in run(campaign)] == ["failed", "known"]


def test_one_that_is_not_complete_is_run_again(campaign, script):
    script(KEEPS, why="it was stopped")
    assert [(o.state, o.said) for o in run(campaign)] == [("failed", "it was stopped")] * 2
    script(KEEPS)
    assert [outcome.state for outcome in run(campaign)] == ["done", "done"]


def test_a_checkpoint_that_is_not_there_is_named_and_stops_no_other(script, tmp_path):
    script(KEEPS)
    (tmp_path / "c.yaml").write_text("checkpoints: [./nope, planted/mini]")
    failed, done = run(read_campaign(tmp_path / "c.yaml"))
    assert (failed.state, done.state) == ("failed", "done")
    assert "nope" in failed.said


def test_hours_end_a_run_and_count_over_all_attempts(campaign, script, tmp_path):
    script("time.sleep(60)")
    path = tmp_path / "campaign.yaml"
    path.write_text("checkpoints: [planted/mini, planted/base]\nhours: 0.0003")
    stopped, left_out = run(read_campaign(path))
    assert (stopped.state, left_out.state) == ("stopped", "left out")
    assert 1 <= Ledger(campaign.output).seconds() < 30
    assert [outcome.state for outcome in run(read_campaign(path))] == ["left out"] * 2
    script(KEEPS)
    path.write_text("checkpoints: [planted/mini, planted/base]\nhours: 1")
    assert [outcome.state for outcome in run(read_campaign(path))] == ["done", "done"]


def test_hours_of_a_checkpoint_are_its_own(script, tmp_path):
    script(f"if 'mini' in folder.name: time.sleep(60)\n{KEEPS}")
    path = tmp_path / "campaign.yaml"
    path.write_text("checkpoints: [{model: planted/mini, hours: 0.0003}, planted/base]")
    assert [outcome.state for outcome in run(read_campaign(path))] == ["stopped", "done"]


def test_ctrl_c_ends_the_run_and_is_written_down(campaign, script, monkeypatch):
    script("(folder.parents[1] / 'begun').touch(); time.sleep(60)")
    wait = running.subprocess.Popen.wait

    def interrupted(child, timeout=None):
        if timeout is None:
            await_calls(campaign)
            monkeypatch.undo()
            raise KeyboardInterrupt
        return wait(child, timeout)

    campaign.output.mkdir()
    monkeypatch.setattr(running.subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(campaign)
    entries = json.loads((campaign.output / FILE).read_text())["parts"]
    assert [entry["state"] for entry in entries.values()] == ["stopped"]


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Runs that ignore SIGTERM from their first moment on; each time that one is waited for."""
    waited: list[subprocess.Popen[bytes]] = []
    wait = running.subprocess.Popen.wait

    def noted(child, timeout=None):
        waited.append(child)
        return wait(child, timeout)

    monkeypatch.setattr(running.subprocess.Popen, "wait", noted)
    monkeypatch.setattr(running, "PATIENCE", 0.2)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield waited
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("checkpoints: [planted/mini, planted/base]\nhours: 0.0003", "left out"),
        ("checkpoints: [{model: planted/mini, hours: 0.0003}, planted/base]", "done"),
    ],
)
def test_a_run_that_does_not_hear_is_killed_and_the_campaign_goes_on(
    asked, other, script, deaf, tmp_path
):
    script(f"if 'mini' in folder.name: time.sleep(60)\n{KEEPS}")
    (tmp_path / "campaign.yaml").write_text(asked)
    campaign = read_campaign(tmp_path / "campaign.yaml")
    stopped, after = run(campaign)
    assert (stopped.state, after.state) == ("stopped", other)
    assert stopped.said.startswith("its hours are used up; it did not end within 0.2 s")
    assert stopped.said.endswith("was killed")
    assert deaf[0].returncode == -signal.SIGKILL
    assert 1 <= Ledger(campaign.output).seconds("planted/mini") < 60


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_or_twice_kills_a_run_that_does_not_hear(
    times, campaign, script, deaf, monkeypatch
):
    script("time.sleep(60)")
    wait, interrupts = running.subprocess.Popen.wait, [KeyboardInterrupt] * times

    def interrupted(child, timeout=None):
        if interrupts:
            raise interrupts.pop()
        return wait(child, timeout)

    campaign.output.mkdir()
    monkeypatch.setattr(running.subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(campaign)
    assert deaf[0].returncode == -signal.SIGKILL
    entries = json.loads((campaign.output / FILE).read_text())["parts"]
    assert [entry["state"] for entry in entries.values()] == ["stopped"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"parts": {"a": 1}}', '{"schema_version": 2}', '{"more": 1}']
)
def test_a_damaged_record_is_refused_and_kept(campaign, content):
    campaign.output.mkdir()
    (campaign.output / FILE).write_text(content)
    with pytest.raises(CampaignError, match=r"record of a campaign.*move it away"):
        Ledger(campaign.output)
    assert (campaign.output / FILE).read_text() == content


def test_a_second_campaign_in_the_folder_is_refused(campaign):
    with only_one(campaign.output), pytest.raises(CampaignError, match="at work"):  # noqa: SIM117
        with only_one(campaign.output):
            pass
    with only_one(campaign.output):
        pass


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_run(campaign):
    campaign.output.write_text("a file")
    with (
        pytest.raises(CampaignError, match="a folder that can be written"),
        only_one(campaign.output),
    ):
        pass

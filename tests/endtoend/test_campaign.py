"""A campaign from file to leaderboard, stopped and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
FILE = """
checkpoints:
  - planted/mini
  - {model: ./nope, priority: 1}
tasks: [ChooseAttr]
options: {limit: 3, twins: false, self-test: false, mechanisms: "q-last-*", cache: store}
"""
Campaign = Callable[..., tuple[int, str]]


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    file = tmp_path / "campaign.yaml"
    file.write_text(FILE)

    def run(*options: str) -> tuple[int, str]:
        # From elsewhere: all that the file names is beside it.
        command = [sys.executable, "-m", "mmflow_bench", "campaign", str(file), *options]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def state(folder: Path) -> dict[str, str]:
    record = json.loads((folder / "campaign" / "campaign.json").read_text())
    return {name: entry["state"] for name, entry in record["parts"].items()}


def test_it_is_foretold_run_and_not_run_again(campaign: Campaign, tmp_path: Path) -> None:
    code, said = campaign("--dry-run")
    assert code == 1, said
    assert "planted/mini  core         4       0" in said
    assert not (tmp_path / "campaign").exists()
    code, said = campaign()
    assert code == 1, said
    assert "1 failed, 1 done" in said
    assert state(tmp_path) == {"./nope, core": "failed", "planted/mini, core": "done"}
    site = json.loads((tmp_path / "campaign" / "site" / "index.json").read_text())
    assert [one["name"] for one in site["checkpoints"]] == ["planted/mini"]
    (tmp_path / "campaign.yaml").write_text(FILE.replace("./nope, priority: 1", "planted/mini"))
    code, said = campaign()
    assert "every checkpoint once" in said
    (tmp_path / "campaign.yaml").write_text(FILE.replace("  - {model: ./nope, priority: 1}\n", ""))
    code, said = campaign()
    assert code == 0, said
    assert "1 done before" in said
    code, said = campaign("--dry-run")
    assert code == 0, said
    assert "planted/mini  core         4       4      0" in said


@pytest.mark.skipif(os.name != "posix", reason="signals are of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_stopped_leaves_no_run_and_the_same_command_goes_on(
    number: signal.Signals, campaign: Campaign, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "mmflow_bench", "campaign", str(tmp_path / "campaign.yaml")]
    begun = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # What runs in the background of a shell ignores Ctrl-C, and so do its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "store").glob("*/*.lock")):
        assert begun.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if number == signal.SIGINT:
        # As a terminal does: to all of its processes.
        os.killpg(begun.pid, number)
    else:
        begun.send_signal(number)
    said = begun.communicate()[0].decode()
    assert begun.returncode == 1, said
    assert "the same command goes on" in said
    assert state(tmp_path)["planted/mini, core"] == "stopped"
    _, said = campaign()
    assert "1 failed, 1 done" in said

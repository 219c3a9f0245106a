"""What a gate could have seen: said at its end, and again by `mmflow power` on the run folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmflow_bench.cli.main import main

AGAINST = ("--model=planted/base", "--baseline=planted/mini")


@pytest.fixture
def differ(project):
    """Say how much more the checkpoint varies from image to image than its baseline."""

    def say(noise: float) -> None:
        table = {"planted/base": {"noise": noise}, "planted/mini": {"noise": 0.0}}
        (project.path / "behaviour.json").write_text(json.dumps(table))

    say(0.05)
    return say


@pytest.fixture
def mmflow(project, monkeypatch):
    monkeypatch.chdir(project.path)
    return lambda *arguments: CliRunner().invoke(main, ["power", *arguments])


def folder_of(project):
    return str(max(project.path.glob(".mmflow/runs/*/results.json")).parent)


def points(result) -> int:
    (line,) = [line for line in result.outlines if "could have seen" in line]
    return int(re.search(r"could have seen (\d+) point", line).group(1))


@pytest.mark.usefixtures("differ")
def test_the_end_of_a_gate_says_what_it_could_have_seen(run, project, mmflow):
    result = run(*AGAINST, "--report=md")
    result.stdout.fnmatch_lines(
        ["gate (regression): passed*", "gate (regression): could have seen * points*"]
    )
    folder = folder_of(project)
    assert f"could have seen {points(result)} points" in Path(folder, "summary.md").read_text()
    told = json.loads(mmflow(folder, "--json").output)
    seen = sorted(row["could_see"] for row in told["rows"] if row["unit"] == "fraction")
    assert seen[0] < points(result) / 100 <= seen[-1] + 0.01


def test_a_checkpoint_that_varies_more_hides_more(project, differ):
    seen = []
    for noise in (0.02, 0.1):
        differ(noise)
        seen.append(points(project.runpytest_inprocess(*AGAINST)))
    assert 10 <= seen[0] < seen[1] < 20


@pytest.mark.usefixtures("differ")
def test_a_gate_on_mechanisms_says_how_far_beside_a_threshold(project):
    result = project.runpytest_inprocess("--gate=mechanisms")
    result.stdout.fnmatch_lines(["gate (mechanisms): could have seen * beside a threshold"])


@pytest.mark.usefixtures("differ")
def test_without_a_gate_nothing_is_promised(project):
    result = project.runpytest_inprocess(*AGAINST, "--gate=none")
    result.stdout.no_fnmatch_line("*could have seen*")


@pytest.mark.usefixtures("differ")
def test_a_finished_run_is_told_alone_and_against_another(project, mmflow):
    project.runpytest_inprocess(*AGAINST)
    run = folder_of(project)
    kept, anew = mmflow(run), mmflow(run, f"{run}/baseline")
    assert kept.exit_code == anew.exit_code == 0, kept.output + anew.output
    assert "images per task" in kept.output
    assert kept.output.splitlines()[1:] == anew.output.splitlines()[1:]
    tighter = mmflow(run, "--tolerance=effect=0.02")
    assert tighter.output.count("+-2%") == kept.output.count("+-10%") > 0
    compared = CliRunner().invoke(main, ["compare", f"{run}/baseline", run])
    assert compared.output.splitlines()[-1] == kept.output.splitlines()[-1]


@pytest.mark.usefixtures("differ")
def test_a_run_without_a_baseline_is_planned_by_its_own_intervals(project, mmflow):
    project.runpytest_inprocess()
    found = mmflow(folder_of(project))
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-1].endswith("beside a threshold")
    other = mmflow(folder_of(project), "--alpha=0.01")
    assert other.exit_code == 2
    assert "run again with it" in other.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "a run folder with results.json"),
        (["."], "a run folder with results.json"),
        ([], "got neither"),
        (["--baseline=planted/mini"], "--baseline without --model"),
        ([".", "--baseline=planted/mini"], "got RUN and --baseline"),
        ([".", "--model=planted/mini"], "got RUN and --model"),
        (["--model=planted/mini", "--limit=3"], "drop --limit"),
        (["--model=planted/mini", "--pilot=1"], "--pilot"),
        (["--model=planted/bsae"], "planted/base"),
        (["--model=planted/mini", "--baseline=planted/bsae"], "planted/base"),
        (["--model=planted/mini", "--baseline=paper/llava-1.5-13b"], "verdicts only"),
        (["--model=planted/mini", "--tolerance=a"], "--tolerance takes a margin"),
        (["--model=planted/mini", "--power=2"], "--power"),
    ],
)
def test_what_cannot_be_planned_is_one_error_in_words(mmflow, arguments, said):
    found = mmflow(*arguments)
    assert found.exit_code == 2, found.output
    assert said in found.output
    assert isinstance(found.exception, SystemExit)


def test_a_run_in_which_nothing_was_mastered_has_nothing_to_plan_by(project, behave, mmflow):
    behave(correct=30)
    project.runpytest_inprocess()
    found = mmflow(folder_of(project))
    assert found.exit_code == 2
    assert "a run with an interval in some row" in found.output

"""A run that has not come to its end says so, everywhere, and is no baseline unless one insists."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from mmflow_bench.cli.main import main

BREAKS = {
    "ctrl-c": "raise KeyboardInterrupt",
    "sigterm": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "exit": "import pytest; pytest.exit('enough', returncode=0)",
}
LATER = """
def test_that_stops_the_run(flow, tmp_path):
    {}

@pytest.mark.mechanism("later")
def test_later(flow, tmp_path):
    "The last position reads the question, said again."
    assert flow("question -> last", "ChooseAttr").peak <= -0.1
"""


@pytest.fixture
def stopping(project):
    """Let the suite's fifth of six tests end the run, and give the folder that it leaves."""
    suite = project.path / "test_suite.py"
    whole = suite.read_text()

    def stop(how, *arguments):
        suite.write_text(whole + LATER.format(how))
        arguments = ("--mmflow-output=kept", *arguments)
        result = project.runpytest_inprocess(*arguments, no_reraise_ctrlc=True)
        (folder,) = (project.path / "kept").iterdir()
        return result, folder

    return stop


def mmflow(*arguments):
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.parametrize("how", BREAKS)
def test_a_run_that_was_stopped_keeps_its_rows_and_says_that_it_is_not_complete(stopping, how):
    result, folder = stopping(BREAKS[how])
    assert result.ret != 0
    kept = json.loads((folder / "results.json").read_text())
    assert kept["complete"] is False
    assert len(kept["mechanisms"]) == 4
    assert "of 6 tests of `flow` have not come to an end" in kept["unfinished"][-1]
    assert (folder / "samples.parquet").is_file()
    result.stdout.fnmatch_lines(["incomplete run: *"])
    goes_on = "stopped: every sample that was measured is kept (*store); the same command goes on *"
    result.stdout.fnmatch_lines([goes_on])
    result.stdout.fnmatch_lines(["gate (mechanisms): failed: *have not come to an end*"])


def test_what_was_deselected_or_comes_to_a_verdict_leaves_a_run_complete(project, results, behave):
    for arguments in (("-k", "question_to_last"), ("--tasks=ChooseAttr",), ("-m", "mechanism")):
        project.runpytest_inprocess(*arguments)
        assert results()["complete"] is True
    # The last of all tests fails: nothing was left out.
    behave(drops={"question->last": -0.4})
    assert project.runpytest_inprocess("-x", "-k", "image and Query").ret == 1
    assert results()["complete"] is True
    project.runpytest_inprocess("-x")
    assert results()["unfinished"] == [
        "1 of 4 tests of `flow` have not come to an end (stopping after 1 failures)"
    ]


def test_every_report_says_so_and_nothing_takes_it_for_a_baseline(stopping, project):
    _, folder = stopping(BREAKS["ctrl-c"], "--report=md,html,junit")
    said = "have not come to an end"
    for report in ("summary.md", "report.html", "junit.xml", "gate.json"):
        assert said in (folder / report).read_text(), report
    shown = mmflow("report", folder)
    assert f"2 of 6 tests of `flow` {said}" in shown.output
    assert mmflow("leaderboard", folder, "--output=site").exit_code == 0
    assert said in (project.path / "site/index.html").read_text()
    (entry,) = json.loads((project.path / "site/index.json").read_text())["checkpoints"]
    assert entry["complete"] is False
    listed = json.loads(mmflow("ls", "runs", "--mmflow-output=kept", "--json").output)
    assert [run["complete"] for run in listed] == [False]

    for command in (
        ("bless", folder, "--baselines=blessed"),
        ("compare", folder, folder),
        ("power", folder),
        ("report", folder, "--html", f"--baseline={folder}"),
    ):
        refused = mmflow(*command)
        assert refused.exit_code == 2, command
        assert "mmflow: a complete run, got an incomplete run: " in refused.output
        assert "--allow-incomplete" in refused.output
        allowed = mmflow(*command, "--allow-incomplete")
        assert "a complete run" not in allowed.output, command
    # What was blessed all the same stays stamped.
    stamped = project.path / "blessed/planted_base"
    (project.path / "test_suite.py").write_text("def test_nothing(flow): pass")
    for baseline in (folder, stamped):
        result = project.runpytest_inprocess(f"--baseline={baseline}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*a complete run, got an incomplete run: *"])
        allowed = project.runpytest_inprocess(f"--baseline={baseline}", "--allow-incomplete")
        assert allowed.ret == 1


def test_a_baseline_is_not_measured_after_the_run_was_stopped(stopping, project):
    result, _ = stopping(BREAKS["ctrl-c"], "--baseline=planted/mini")
    lines = (project.path / "ensured.jsonl").read_text().splitlines()
    models = {json.loads(line)["model"] for line in lines}
    assert models == {"planted/base"}
    result.stdout.fnmatch_lines(["*the run has ended before the baseline was measured*"])


def test_nothing_measured_and_stopped_is_said(project):
    (project.path / "test_suite.py").write_text(
        "def test_a(flow, tmp_path): raise KeyboardInterrupt"
    )
    result = project.runpytest_inprocess(no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["nothing was kept: the run has ended early (exit code 2)*"])


KILLS = """
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_that_kills_its_worker(flow, task, tmp_path):
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_that_are_killed_are_named_and_the_others_rows_are_kept(project, results):
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text() + KILLS)
    result = project.runpytest_subprocess("-n", "2", "--max-worker-restart=0")
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.fnmatch_lines(
        ["gate (mechanisms): failed: worker gw* was lost: killed by SIGKILL*"]
    )
    kept = results()
    assert kept["complete"] is False
    assert sorted(kept["unfinished"]) == [
        "worker gw0 was lost: killed by SIGKILL",
        "worker gw1 was lost: killed by SIGKILL",
    ]
    assert kept["summary"] == {"holds": 4}

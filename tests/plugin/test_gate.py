"""The gate: what is decided, printed and exited alike, in one process and under xdist."""

from __future__ import annotations

import json

import pytest

from mmflow_bench.baselines.paired_records import read_comparison

AGAINST = ("--model=planted/base", "--baseline=planted/mini")
SAME = {"question->last": -0.4, "image->question": -0.5}
MOVED = {"question->last": -0.8, "image->question": -0.5}
GONE = {"question->last": 0.0, "image->question": -0.5}
WEAK = {"question->last": -0.02, "image->question": -0.5}
"""Shown to be less than a tenth, and yet to have a place."""
ONE_UNDECIDED = {"drops": {"question->last": -0.47, "image->question": -0.5}, "noise": 0.04}
"""Of five rows of the gate on each of two tasks: eight of ten are unchanged."""
UNDECIDED = {"drops": {"question->last": -0.52, "image->question": -0.5}, "noise": 0.15}


@pytest.fixture
def models(project):
    """Say how the checkpoint and its baseline behave."""

    def say(tuned=None, base=None, **both):
        table = {"all": both, "planted/base": tuned or {}, "planted/mini": base or {}}
        (project.path / "behaviour.json").write_text(json.dumps(table))

    return say


@pytest.fixture
def comparison(project):
    """The comparison that the last run has kept."""

    def read():
        paths = project.path.glob(".mmflow/runs/*/comparison.json")
        return read_comparison(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())

    return read


def test_the_same_checkpoint_twice_passes(run, comparison):
    result = run(*AGAINST, "--gate=strict", "--baseline-missing=new")
    result.stdout.fnmatch_lines(["*against the baseline*", "gate (strict): passed"])
    assert result.ret == 0
    assert set(comparison().counts) == {"unchanged"}


def test_a_change_fails_the_run_and_is_named(run, comparison, models):
    models(tuned={"drops": MOVED})
    result = run(*AGAINST)
    assert result.ret == 1
    line = "gate (regression): failed: changed: q-last-drop (ChooseAttr, QueryAttr)"
    result.stdout.fnmatch_lines([line])
    assert comparison().changed == {"q-last-drop": ["ChooseAttr", "QueryAttr"]}


def test_a_wider_tolerance_lets_it_pass(project, models):
    models(tuned={"drops": MOVED})
    assert project.runpytest_inprocess(*AGAINST, "--tolerance=effect=0.6").ret == 0
    assert project.runpytest_inprocess(*AGAINST, "--tolerance=a").ret == pytest.ExitCode.USAGE_ERROR


def test_a_regression_gate_does_not_ask_whether_mechanisms_hold(run, models):
    models(drops=GONE)
    result = run(*AGAINST)
    result.assert_outcomes(passed=2, xfailed=2)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["gate (regression): passed"])


def test_a_strict_gate_does(project, models):
    models(drops=WEAK)
    result = project.runpytest_inprocess(*AGAINST, "--gate=strict")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate (strict): failed: 2 mechanisms failed"])


def test_a_gate_on_mechanisms_does_not_ask_what_changed(project, models):
    models(tuned={"drops": MOVED})
    result = project.runpytest_inprocess(*AGAINST, "--gate=mechanisms")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*compared: * changed*"])


def test_no_gate_lets_everything_pass_and_shows_it(run, models):
    models(tuned={"drops": GONE}, noise=0.02)
    result = run(*AGAINST, "--gate=none")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*✗ fails *", "*≠ changed*"])
    # Nobody has said that they would fail.
    for word in ("gate (*", "*(known)*", "*as expected*"):
        result.stdout.no_fnmatch_line(word)


@pytest.mark.parametrize(
    ("policy", "code"), [("--inconclusive=report", 0), ("--inconclusive=fail", 1)]
)
def test_what_is_undecided_is_a_policy(project, models, policy, code):
    models(tuned={"drops": {"question->last": -0.48, "image->question": -0.5}}, noise=0.02)
    result = project.runpytest_inprocess(*AGAINST, policy, "--tolerance=effect=0.08")
    result.stdout.fnmatch_lines(["*? undecided*"])
    assert result.ret == code


def test_a_run_in_which_nothing_is_mastered_does_not_pass(run, models):
    models(correct=30)
    result = run("--gate=mechanisms")
    assert result.ret == 1
    line = "gate (mechanisms): failed: nothing was decided: all 4 mechanisms are precondition-*"
    result.stdout.fnmatch_lines([line])


def test_controls_that_hold_are_nothing_either(project, models):
    models(correct=30)
    suite = project.path / "test_suite.py"
    control = """
@pytest.mark.mechanism("noise-floor", minimum_accuracy=0.0)
def test_control(flow):
    # Thirty images leave room for a tenth that was not seen.
    assert flow("last -> last", "ChooseAttr").peak >= -0.2
"""
    suite.write_text(suite.read_text() + control)
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=1, skipped=4)
    assert result.ret == 1
    assert project.runpytest_inprocess("--mechanisms=noise-floor").ret == 0


def test_a_gate_does_not_pass_on_a_checkpoint_that_lost_its_tasks(project, models):
    models(tuned={"correct": 4})
    result = project.runpytest_inprocess(*AGAINST)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["gate (regression): failed: every task is below its precondition*"]
    )


CHECK = [{"name": "fast-path", "passed": False, "detail": "knockouts differ"}]


@pytest.mark.parametrize(
    ("who", "arguments", "line"),
    [
        ("base", AGAINST, "gate (regression): failed: the self-test failed on the baseline*"),
        ("tuned", AGAINST, "gate (regression): failed: the self-test failed on the checkpoint*"),
        ("tuned", (), "gate (mechanisms): failed: the self-test failed on the checkpoint*"),
        ("base", (*AGAINST, "--gate=mechanisms"), "gate (mechanisms): failed: the self-test*"),
        ("base", (*AGAINST, "--gate=none"), None),
    ],
)
def test_a_self_test_that_failed_on_either_side_fails_the_run(
    project, models, who, arguments, line
):
    models(**{who: {"self_test": CHECK}})
    result = project.runpytest_inprocess(*arguments)
    assert result.ret == (line is not None)
    if line:
        result.stdout.fnmatch_lines([line])


def test_flow_that_is_gone_in_noise_is_undecided_and_red(run, models, comparison):
    models(tuned={"drops": GONE, "noise": 0.5}, base={"noise": 0.05})
    result = run(*AGAINST, "--mechanisms=q-last-drop")
    assert result.ret == 1
    assert {row.verdict for row in comparison().rows if row.id == "q-last-drop"} == {"undecided"}
    result.stdout.fnmatch_lines(
        ["gate (regression): failed: undecided: * comparable rows*needs about * images a task:*"]
    )


def test_how_much_must_be_decided_is_an_option(project, models):
    models(tuned=ONE_UNDECIDED)
    for share, code in (("0.7", 0), ("80%", 0), ("0.9", 1)):
        result = project.runpytest_inprocess(*AGAINST, f"--decided={share}")
        assert result.ret == code, share
    wrong = project.runpytest_inprocess(*AGAINST, "--decided=most")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR


def test_a_run_that_measures_nothing_does_not_pass(project):
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text() + "\ndef test_something_else():\n    pass\n")
    result = project.runpytest_inprocess("-k", "else", "--gate=mechanisms")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate (mechanisms): failed: nothing was measured: no test of*"])
    assert project.runpytest_inprocess("-k", "else").ret == 0
    result = project.runpytest_inprocess("--mechanisms=imgq-low-only")
    assert result.ret != 0
    assert project.runpytest_inprocess("--collect-only", "--gate=mechanisms").ret == 0


def test_a_worker_that_dies_fails_the_gate_and_is_counted(project):
    suite = project.path / "test_suite.py"
    dying = """
def test_that_kills_its_worker(flow, tmp_path):
    import os
    os._exit(3)
"""
    suite.write_text(suite.read_text() + dying)
    result = project.runpytest_subprocess("-n", "2", *AGAINST)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "gate (regression): failed: worker gw* was lost: exit code 3; 1 of 5 tests of `flow` "
            "have not come to an end; 1 test of the checkpoint ended without a verdict*"
        ]
    )


def test_a_run_that_ended_early_does_not_pass(project):
    suite = project.path / "test_suite.py"
    ending = "\ndef test_z(flow):\n    pytest.exit('enough', returncode=7)\n"
    suite.write_text(suite.read_text() + ending)
    result = project.runpytest_inprocess("--gate=mechanisms")
    assert result.ret == 7
    kept = json.loads(next(project.path.glob(".mmflow/runs/*/gate.json")).read_text())
    assert kept["why"] == [
        "the run has ended early (exit code 7)",
        "1 of 5 tests of `flow` have not come to an end",
    ]


def test_a_regression_gate_without_any_baseline_does_not_pass(project):
    result = project.runpytest_inprocess("--gate=regression")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate (regression): failed: nothing to compare with*"])
    assert project.runpytest_inprocess("--gate=regression", "--baseline-missing=new").ret == 0


def test_a_regression_gate_takes_stored_baselines_too(project, models):
    assert project.runpytest_inprocess("--snapshot-update").ret == 0
    assert project.runpytest_inprocess("--gate=regression").ret == 0
    models(drops=MOVED)
    result = project.runpytest_inprocess("--gate=regression")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate (regression): failed: 2 mechanisms differ from the stored*"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), pytest.ExitCode.USAGE_ERROR),
        (("--baseline-missing=fail",), pytest.ExitCode.USAGE_ERROR),
        (("--baseline-missing=new",), 0),
    ],
)
def test_a_baseline_that_is_not_there_is_what_the_policy_says(project, arguments, code):
    result = project.runpytest_inprocess("--baseline=./nowhere", *arguments)
    assert result.ret == code


def test_a_baseline_that_cannot_be_measured_is_said_and_fails(run, models):
    models(base={"broken": "weights that can be read, got nothing"})
    result = run(*AGAINST)
    assert result.ret == 1
    line = "gate (regression): failed: not comparable: weights that can be read, got nothing"
    result.stdout.fnmatch_lines([line])


def test_a_run_folder_and_a_blessed_baseline_serve_as_well_as_a_checkpoint(project, models):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    project.runpytest_inprocess("--model=planted/mini", "--mmflow-output=first")
    (first,) = (project.path / "first").iterdir()
    blessed = CliRunner().invoke(main, ["bless", str(first), "--baselines=kept"])
    assert blessed.exit_code == 0, blessed.output
    assert {path.name for path in (project.path / "kept/planted_mini").iterdir()} == {
        *("test_suite.json", "values"),
    }
    models(tuned={"drops": MOVED})
    for base in (first, "kept/planted_mini"):
        result = project.runpytest_inprocess("--model=planted/base", f"--baseline={base}")
        assert result.ret == 1
        result.stdout.fnmatch_lines(["gate (regression): failed: changed: q-last-drop*"])
    mine = project.runpytest_inprocess("--model=planted/mini", "--baseline=kept/planted_mini")
    assert mine.ret == 0


def test_what_bless_has_written_is_what_an_update_would_have_written(project):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    project.runpytest_inprocess("--mmflow-output=first")
    (first,) = (project.path / "first").iterdir()
    assert CliRunner().invoke(main, ["bless", str(first)]).exit_code == 0
    path = project.path / "baselines" / "planted_base" / "test_suite.json"
    blessed = path.read_text()
    project.runpytest_inprocess("--gate=regression").assert_outcomes(passed=4)
    path.unlink()
    project.runpytest_inprocess("--snapshot-update")
    assert path.read_text() == blessed


def test_a_limited_run_is_no_baseline_unless_it_is_stamped(project):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    project.runpytest_inprocess("--mmflow-output=first", "--limit=20")
    (first,) = (project.path / "first").iterdir()
    refused = CliRunner().invoke(main, ["bless", str(first)])
    assert refused.exit_code == 2
    assert "--allow-limited" in refused.output
    assert CliRunner().invoke(main, ["bless", str(first), "--allow-limited"]).exit_code == 0
    against = "--baseline=baselines/planted_base"
    result = project.runpytest_inprocess(against)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate (regression): failed: not comparable: a baseline stamped*"])
    assert project.runpytest_inprocess(against, "--limit=20").ret == 0


def test_reports_are_written_and_printed_again(project, models, monkeypatch):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    summary = project.path / "step-summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    models(tuned={"drops": MOVED})
    result = project.runpytest_inprocess(
        *AGAINST, "--report=md,github,junit", "--mmflow-output=kept"
    )
    result.stdout.fnmatch_lines(["::error title=q-last-drop changed::*"])
    (folder,) = (project.path / "kept").iterdir()
    assert summary.read_text() == (folder / "summary.md").read_text()
    assert (folder / "summary.md").read_text().startswith("## ❌ gate failed")
    assert "\n\nAfter: **planted/base**" in summary.read_text()
    assert "After: planted/base" in (folder / "glance.svg").read_text()
    assert (folder / "junit.xml").is_file()
    again = CliRunner().invoke(main, ["report", str(folder)])
    assert again.exit_code == 0, again.output
    assert "4 verdicts: 4 holds" in again.output
    assert "asked as llava-1.5-13b" in again.output
    assert "gate: failed: changed: q-last-drop (ChooseAttr, QueryAttr)" in again.output
    for line in result.outlines:
        if "≠ changed" in line:
            assert line in again.output


def test_an_unknown_report_is_a_usage_error(project):
    assert project.runpytest_inprocess("--report=pdf").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("tuned", "arguments", "code"),
    [
        ({}, (), 0),
        ({"drops": MOVED}, (), 1),
        ({"drops": MOVED}, ("--fail-on=none",), 0),
        ({"drops": MOVED}, ("--tolerance=nonsense",), 2),
        (UNDECIDED, (), 4),
        (ONE_UNDECIDED, (), 0),
        (ONE_UNDECIDED, ("--decided=0.9",), 4),
        (ONE_UNDECIDED, ("--fail-on=inconclusive",), 4),
    ],
)
def test_compare_exits_as_it_says(project, models, tuned, arguments, code):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    models(tuned=tuned)
    project.runpytest_inprocess("--model=planted/mini", "--mmflow-output=first")
    project.runpytest_inprocess("--model=planted/base", "--mmflow-output=second")
    (first,), (second,) = ((project.path / name).iterdir() for name in ("first", "second"))
    result = CliRunner().invoke(main, ["compare", str(first), str(second), *arguments])
    assert result.exit_code == code, result.output


def test_compare_refuses_other_windows(project):
    from click.testing import CliRunner

    from mmflow_bench.cli.main import main

    project.runpytest_inprocess("--mmflow-output=first", "--window=3")
    project.runpytest_inprocess("--mmflow-output=second", "--window=5")
    (first,), (second,) = ((project.path / name).iterdir() for name in ("first", "second"))
    result = CliRunner().invoke(main, ["compare", str(first), str(second)])
    assert result.exit_code == 3
    assert "another window (--window): 3 against 5" in result.output

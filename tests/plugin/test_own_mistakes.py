"""What a test of one's own may not pass for: bare numbers, percent, names of nothing."""

from __future__ import annotations

import pytest

IMPORTS = """
import pytest
from mmflow_bench import agree
from mmflow_bench.mechanisms.bands import Band
"""
DROP = 'drop = flow("question -> last", "ChooseAttr")'
UNCOMPARED = "a comparison of an estimate, got a test of `flow` that makes none"


@pytest.fixture
def own(project):
    """Write a test of `flow` of these lines, and run it."""

    def write_and_run(*lines: str, mark: str = "", arguments: tuple[str, ...] = ()):
        body = "".join(f"    {line}\n" for line in lines)
        test = f"{IMPORTS}\n{mark}\ndef test_it(flow):\n{body}"
        (project.path / "test_suite.py").write_text(test)
        return project.runpytest_inprocess(*arguments)

    return write_and_run


@pytest.mark.parametrize(
    "line",
    [
        "assert drop.peak.value < -0.1",
        "drop.peak <= -0.1",
        "assert drop.peak",
        "assert len(drop.mean) == 12",
        "assert drop.peak != 0",
    ],
)
def test_a_test_that_compares_no_estimate_does_not_hold(own, results, line):
    run_result = own(DROP, line)
    run_result.assert_outcomes(failed=1)
    run_result.stdout.fnmatch_lines([f"NoComparison: {UNCOMPARED}; compare the estimate itself, *"])
    run_result.stdout.fnmatch_lines([f"no verdict: *{UNCOMPARED}*"])
    assert results()["mechanisms"] == []


def test_a_bare_number_that_fails_is_no_verdict_either(own, results):
    run_result = own(DROP, "assert drop.peak.value > 0")
    run_result.assert_outcomes(failed=1)
    run_result.stdout.fnmatch_lines(["E *assert -0.4* > 0", f"E *{UNCOMPARED}*"])
    assert results()["mechanisms"] == []


@pytest.mark.parametrize("line", ["assert drop.peak.value < -0.1", "assert drop.peak.value > 0"])
@pytest.mark.parametrize("gate", ["none", "regression", "strict"])
def test_no_gate_lets_it_pass(own, gate, line):
    assert own(DROP, line, arguments=(f"--gate={gate}",)).ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("mark", "line", "outcomes"),
    [
        # What is skipped or expected to fail keeps its meaning, what passes is no failure of it.
        ("", "pytest.skip('later')", {"skipped": 1}),
        ("", "pytest.xfail('known')", {"xfailed": 1}),
        ("@pytest.mark.skip", "pass", {"skipped": 1}),
        ("@pytest.mark.xfail", "assert drop.peak.value > 0", {"xfailed": 1}),
        ("@pytest.mark.xfail(raises=AssertionError)", "assert False", {"xfailed": 1}),
        ("@pytest.mark.xfail", "assert drop.peak >= 0", {"xfailed": 1}),
        ("@pytest.mark.xfail", "assert drop.peak.value < 0", {"failed": 1}),
        ("@pytest.mark.xfail(strict=True)", "assert drop.peak.value < 0", {"failed": 1}),
    ],
)
def test_marks_keep_their_meaning(own, mark, line, outcomes):
    assert own(DROP, line, mark=mark).parseoutcomes() == outcomes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("assert drop.peak >= 10", "from -1 to 1 for a fraction, got 10 (peak of *; write 0.1 for"),
        ("assert drop.peak <= -30", "for a fraction, got -30 (*); write -0.3 for -30%"),
        ("assert drop.peak_depth <= 50", "for a depth, got 50 (*); write 0.5 for 50% or 50 / flow"),
        ("assert flow.lens('answer', 'ChooseAttr').max <= 50", "for a probability, got 50 (*0.5"),
        ("assert flow.accuracy('ChooseAttr') >= 90", "for a fraction, got 90 (accuracy*0.9 for"),
        ("assert drop.equivalent_to_zero(5)", "for a fraction, got 5 (question->last*0.05 for 5%"),
        ("assert drop.equivalent_to_zero(-0.05)", "a range *, got 0.05 to -0.05 (*; exchange"),
        ("assert drop.peak_depth.within(35, 75)", "for a depth, got 35"),
        ("assert drop.peak_depth.within(0.75, 0.35)", "a range *, got 0.75 to 0.35 (*; exchange"),
        ("assert drop.peak.at_least(3, bound=0)", "for a fraction, got 3"),
        ("assert agree([drop.peak, drop.peak], within=10)", "for a fraction, got -10"),
        ("assert drop.peak <= float('nan')", "a number for a fraction, got nan"),
        (
            "assert drop.peak_in(Band(4, 8)) <= -0.1",
            "a band of depths from 0 to 1, got 4 to 8; a d",
        ),
        (
            "assert flow.lens('answer', 'ChooseAttr').max_until(6) >= 0",
            "for a depth, got 6 (*layer",
        ),
    ],
)
def test_a_threshold_outside_the_range_of_its_unit_is_an_error(own, results, line, said):
    run_result = own(DROP, line)
    run_result.assert_outcomes(failed=1)
    run_result.stdout.fnmatch_lines([f"E *MechanismError: *{said}*"])
    assert results()["mechanisms"] == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("flow('image -> last', 'ChoseAttr')", "a task of *, got 'ChoseAttr'; did you mean Choose"),
        ("flow.accuracy('ChoseAttr')", "a task of *, got 'ChoseAttr'; did you mean ChooseAttr?"),
        ("flow('imge -> last', 'ChooseAttr')", "a role of *, got 'imge'*did you mean `image`?"),
        ("flow('image -> last', 'ChooseAttr', method='mask')", "a method *got 'mask'*masked?"),
        ("flow.lens('answr', 'ChooseAttr')", "a probe of *, got 'answr'; did you mean answer?"),
        ("flow.lens('answer', 'ChooseAttr', variant='norm')", "a variant *'norm'*normed?"),
        ("flow.other('llava-1.5-13')", "a checkpoint *, got 'llava-1.5-13'; did you mean llava-1."),
        ("flow.only_for('llava-1.5-13')", "a checkpoint of the paper *, got 'llava-1.5-13'"),
    ],
)
def test_a_name_that_nothing_has_is_an_error_and_no_skip(own, results, line, said):
    run_result = own(line)
    run_result.assert_outcomes(failed=1)
    run_result.stdout.fnmatch_lines([f"E *Error: {said}*"])
    assert results()["mechanisms"] == []


def test_a_task_that_is_only_not_selected_is_no_typo(own, results):
    # The project's questions have two of the paper's tasks.
    lines = [f'assert flow("image -> last", "{task}").peak <= 0' for task in ("LogicalObj", "x")]
    own(lines[0]).assert_outcomes(skipped=1)
    (row,) = results()["mechanisms"]
    assert (row["verdict"], row["reason"][:27]) == ("not-applicable", "no samples of task LogicalO")
    own(lines[1]).assert_outcomes(failed=1)


def test_every_row_has_an_estimate_or_a_reason(own, results, behave):
    behave(drops={}, noise=0.0)
    reasons = []
    for end in ("drop.centre >= 0.3", "not (drop.peak >= -0.1)", "drop.peak <= 0.1"):
        line = f"assert {end}"
        own(DROP, line)
        (row,) = results()["mechanisms"]
        assert row["estimate"] is not None or row["reason"]
        reasons.append((row["verdict"], row["reason"]))
    assert reasons[0] == (
        "fails",
        "nothing beyond the noise, so no place and no ratio: there is no centre of question->last "
        "on ChooseAttr",
    )
    assert reasons[1][0] == "fails"
    assert reasons[1][1].startswith("assert not peak of question->last on ChooseAttr = 0%")
    assert reasons[2] == ("holds", "")


def test_a_stored_value_decides_without_an_interval_and_says_so(project, results):
    (project.path / "test_suite.py").write_text(
        "def test_own(flow, flow_snapshot):\n"
        '    peak = flow("question -> last", "ChooseAttr").peak.value\n'
        '    assert flow_snapshot == {"peak": peak, "tolerance": 0.05}\n'
    )
    assert project.runpytest_inprocess("--snapshot-update").ret == 0
    (row,) = results()["mechanisms"]
    assert (row["verdict"], row["estimate"]) == ("holds", None)
    assert row["reason"] == "decided by a stored value (flow_snapshot), not by an interval"

"""An observation: it passes with a number, and nothing but a stored number can fail it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

SUITE = """
import pytest
from mmflow_bench import report

@pytest.mark.mechanism("own-share")
@pytest.mark.parametrize("task", ["ChooseAttr", "QueryAttr"])
def test_share(flow, task):
    '''The question's drop, whatever it is.'''
    assert report(flow("question -> last", task).peak)
"""
FAILED_CHECK = [{"name": "knockouts are exact", "passed": False, "detail": "0.1 off"}]


@pytest.fixture
def observed(project: pytest.Pytester) -> pytest.Pytester:
    (project.path / "test_suite.py").write_text(SUITE)
    return project


@pytest.mark.usefixtures("observed")
def test_it_passes_and_is_listed_with_its_number(run, results):
    run_result = run("--report=md,html,junit,github", "--gate=strict")
    run_result.assert_outcomes(passed=2)
    assert run_result.ret == pytest.ExitCode.OK
    run_result.stdout.fnmatch_lines(["*ChooseAttr*i report*-40*", "*2 verdicts: 2 report*"])
    content = results()
    assert content["summary"] == {"report": 2}
    first = content["mechanisms"][0]
    assert (first["verdict"], first["expected"], first["outcome"]) == ("report", "report", "passed")
    assert first["low"] < first["estimate"] < first["high"]
    assert first["threshold"] == first["reason"] == first["qualifier"] == ""


def test_a_debugger_is_not_asked_in_and_no_traceback_is_shown(observed):
    run_result = observed.runpytest_inprocess("--pdb", "-x", "-rA")
    run_result.assert_outcomes(passed=2)
    assert "Reported" not in run_result.stdout.str()
    assert "entering PDB" not in run_result.stdout.str()


def test_junit_has_it_as_a_case_that_has_passed(observed):
    observed.runpytest_inprocess("--report=junit", "--junit-xml=pytest.xml")
    [path] = observed.path.glob(".mmflow/runs/*/junit.xml")
    for file in (path, observed.path / "pytest.xml"):
        cases = ElementTree.parse(file).getroot().findall(".//testcase")
        assert len(cases) == 2
        assert not any(
            case.find(end) is not None for case in cases for end in ("failure", "skipped")
        )


def test_no_second_opinion_is_asked_of_it(observed):
    observed.runpytest_inprocess()
    lines = [
        json.loads(line) for line in (observed.path / "ensured.jsonl").read_text().splitlines()
    ]
    assert {method for line in lines for method in line["methods"]} == {"masked"}


def test_no_correction_withdraws_it(observed, results):
    observed.runpytest_inprocess("--multiplicity=holm").assert_outcomes(passed=2)
    assert results()["summary"] == {"report": 2}


def test_its_number_is_compared_with_the_stored_one(observed, results, behave):
    observed.runpytest_inprocess("--snapshot-update")
    observed.runpytest_inprocess("--gate=regression").assert_outcomes(passed=2)
    assert {row["baseline"] for row in results()["mechanisms"]} == {"same"}
    behave(drops={"question->last": -0.2, "image->question": -0.5})
    run_result = observed.runpytest_inprocess("--gate=regression")
    run_result.assert_outcomes(failed=2)
    run_result.stdout.fnmatch_lines(["*own-share*differs*estimate: baseline -0.4*received -0.2*"])
    assert {(row["verdict"], row["baseline"]) for row in results()["mechanisms"]} == {
        ("report", "drift")
    }


def test_a_stored_verdict_that_has_become_an_observation_has_changed(observed):
    observed.runpytest_inprocess("--snapshot-update")
    path = observed.path / "baselines/planted_base/test_suite.json"
    path.write_text(path.read_text().replace('"report"', '"holds"'))
    observed.runpytest_inprocess().assert_outcomes(failed=2)


def test_a_failed_self_test_leaves_no_number_standing(observed, results, behave):
    behave(self_test=FAILED_CHECK)
    observed.runpytest_inprocess()
    assert results()["summary"] == {"instrument-dependent": 2}


def test_a_missing_baseline_that_is_asked_for_fails_it(observed):
    observed.runpytest_inprocess("--baseline-missing=fail").assert_outcomes(failed=2)


def test_what_has_no_number_says_so(observed, results, behave):
    text = SUITE.replace(".peak", ".centre")
    (observed.path / "test_suite.py").write_text(text)
    behave(drops={}, noise=0.0)
    observed.runpytest_inprocess().assert_outcomes(passed=2)
    for row in results()["mechanisms"]:
        assert (row["verdict"], row["estimate"]) == ("report", None)
        assert "no place" in row["reason"]


def test_a_test_that_reports_beside_what_holds_is_an_observation(observed, results):
    text = SUITE.replace(
        "    assert report",
        '    assert flow("image -> question", task).peak <= -0.1\n    assert report',
    )
    (observed.path / "test_suite.py").write_text(text)
    observed.runpytest_inprocess().assert_outcomes(passed=2)
    row = results()["mechanisms"][0]
    assert (row["verdict"], round(row["estimate"], 1)) == ("report", -0.4)


def test_observations_alone_are_no_ground_where_everything_else_was_refused(
    observed, results, behave
):
    more = """
@pytest.mark.mechanism("own-drop", minimum_accuracy=1.0)
def test_drop(flow):
    '''It drops.'''
    assert flow("image -> question", "ChooseAttr").peak <= -0.1
"""
    (observed.path / "test_suite.py").write_text(SUITE + more)
    behave(correct=39)
    run_result = observed.runpytest_inprocess("--gate=mechanisms")
    assert results()["summary"] == {"precondition-failed": 1, "report": 2}
    assert run_result.ret == pytest.ExitCode.TESTS_FAILED
    run_result.stdout.fnmatch_lines(["*nothing was decided: all 1 mechanisms are precondition*"])

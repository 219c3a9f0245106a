"""Verdicts become outcomes, in one process and under xdist."""

from __future__ import annotations

from collections import Counter

import pytest

from mmflow_bench.baselines.golden import baseline_file, change_entries
from mmflow_bench.runs.judged import exception_for


def test_mechanisms_that_hold_pass_and_are_listed(run, results):
    run_result = run("--strict-config")
    run_result.assert_outcomes(passed=4)
    run_result.stdout.fnmatch_lines(
        [
            "*mmflow: information flow*",
            "planted/base*12 layers*",
            "q-last-drop*",
            "  ChooseAttr*holds*-4?.?%*[[]*]*40*",
            "4 verdicts: 4 holds*",
            "results: *results.json",
        ]
    )
    content = results()
    assert content["summary"] == {"holds": 4}
    assert content["data"]["tasks"]["QueryAttr"]["correct"] == 40
    assert {row["outcome"] for row in content["mechanisms"]} == {"passed"}


def test_undecided_mechanisms_are_neither_passed_nor_failed(run, results, behave):
    behave(drops={"question->last": -0.12, "image->question": -0.12}, noise=0.4)
    run_result = run()
    assert run_result.ret == 0
    assert Counter(run_result.parseoutcomes()) == {"inconclusive": 4}
    content = results()
    assert content["summary"] == {"inconclusive": 4}
    assert {row["outcome"] for row in content["mechanisms"]} == {"inconclusive"}


def test_a_place_that_there_is_not_fails_with_a_reason(project, results, behave):
    (project.path / "test_suite.py").write_text(
        "def test_early(flow):\n    'Early.'\n"
        "    assert flow('question -> last', 'ChooseAttr').peak_depth < 0.5\n"
    )
    behave(drops={"question->last": 0.0}, noise=0.0)
    project.runpytest_inprocess()
    (row,) = results()["mechanisms"]
    assert (row["verdict"], row["estimate"]) == ("fails", None)
    assert row["reason"].startswith("nothing beyond the noise, so no place")


def test_every_ending_has_its_verdict(project, results, behave):
    behave(correct=39)
    (project.path / "test_suite.py").write_text(
        """
import pytest
from mmflow_bench.mechanisms.verdicts import NotApplicable

@pytest.mark.mechanism("q-last-drop")
@pytest.mark.parametrize("task", ["ChooseAttr", "ChooseRel"])
def test_needs_samples(flow, task):
    assert flow("question -> last", task).peak <= -0.1

@pytest.mark.mechanism("imgq-drop", minimum_accuracy=1.0)
def test_needs_accuracy(flow):
    assert flow("image -> question", "ChooseAttr").peak <= -0.1

def test_does_not_apply(flow):
    raise NotApplicable("no image")

def test_fails(flow):
    assert flow("last -> last", "ChooseAttr").peak <= -0.1

def test_breaks(flow):
    raise KeyError("unrelated")
"""
    )
    run_result = project.runpytest_inprocess()
    run_result.assert_outcomes(passed=1, skipped=3, failed=2)
    run_result.stdout.fnmatch_lines(["*ChooseRel*not-applicable*no samples of task ChooseRel*"])
    content = results()
    assert content["summary"] == {
        "holds": 1,
        "fails": 1,
        "precondition-failed": 1,
        "not-applicable": 2,
    }
    assert [error["test"] for error in content["errors"]] == [
        "test_suite.py::test_breaks[planted_base]"
    ]


def test_inconclusive_can_fail_the_run(project, results, behave):
    behave(drops={"question->last": -0.12, "image->question": -0.12}, noise=0.4)
    run_result = project.runpytest_inprocess("--inconclusive=fail")
    run_result.assert_outcomes(failed=4)
    assert {row["verdict"] for row in results()["mechanisms"]} == {"inconclusive"}
    assert {row["outcome"] for row in results()["mechanisms"]} == {"failed"}


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"correct": 30}, "*30 of 40 answers correct (75%), 90% are needed*"),
        ({"correct": 0, "unscored": {"missing-image": 40}}, "*none of 40 samples could be scored*"),
    ],
)
def test_a_task_that_is_not_mastered_has_no_verdict(project, results, behave, behaviour, reason):
    behave(**behaviour)
    run_result = project.runpytest_inprocess("-rs")
    run_result.assert_outcomes(skipped=4)
    run_result.stdout.fnmatch_lines([reason])
    assert results()["summary"] == {"precondition-failed": 4}
    assert not (project.path / "ensured.jsonl").exists()


def test_a_mechanism_may_ask_for_less_accuracy(project, behave):
    behave(correct=30)
    suite = project.path / "test_suite.py"
    suite.write_text(suite.read_text().replace('-drop")', '-drop", minimum_accuracy=0.0)'))
    project.runpytest_inprocess().assert_outcomes(passed=4)


def test_unscored_samples_are_listed_by_reason(project, behave):
    behave(unscored={"missing-image": 2})
    run_result = project.runpytest_inprocess()
    run_result.stdout.fnmatch_lines(["unscored: ChooseAttr missing-image 2 (of 40)"])


def store_expectation(project: pytest.Pytester, verdict: str) -> None:
    conditions = "questions=own limit=all window=auto alpha=0.05"
    name = "test_question_to_last_drops[ChooseAttr]"
    path = baseline_file(project.path / "baselines", "planted_base", "test_suite")
    entry = {"verdict": verdict, "conditions": conditions, "estimate": 0.0, "tolerance": 1.0}
    entry |= {"n": 40, "unit": "fraction"}
    change_entries(path, lambda entries: entries | {name: entry})


def test_a_mechanism_known_to_fail_is_an_expected_failure(run, project, results, behave):
    store_expectation(project, "fails")
    behave(drops={"image->question": -0.5})
    run_result = run("-k", "ChooseAttr")
    run_result.assert_outcomes(passed=1, xfailed=1, deselected=None)
    row = next(row for row in results()["mechanisms"] if row["id"] == "q-last-drop")
    assert (row["verdict"], row["expected"], row["outcome"]) == ("fails", "fails", "xfailed")


def test_a_mechanism_known_to_fail_that_holds_fails_the_run(project):
    store_expectation(project, "fails")
    run_result = project.runpytest_inprocess("-k", "ChooseAttr")
    assert run_result.ret == 1


def test_a_mechanism_known_to_fail_that_is_undecided_stays_undecided(project, behave):
    store_expectation(project, "fails")
    behave(drops={"question->last": -0.12, "image->question": -0.5}, noise=0.4)
    run_result = project.runpytest_inprocess("-k", "test_question and ChooseAttr")
    # Its verdict differs from the stored one, which is what a baseline is there to say.
    run_result.assert_outcomes(failed=1, deselected=3)
    run_result.stdout.fnmatch_lines(["*verdict: baseline 'fails', received 'inconclusive'*"])


RECORD = """
from mmflow_bench.plugin.collecting import EXPECTED, Expectation

def pytest_collection_finish(session):
    for item in session.items:
        item.stash[EXPECTED] = Expectation("fails", "its record says so")
"""
"""Of every mechanism, as the record of a released checkpoint has it of some."""


@pytest.mark.parametrize(
    ("behaviour", "arguments", "outcomes", "word"),
    [
        ({"drops": {}}, (), {"xfailed": 4}, "xfailed"),
        ({"drops": {}}, ("--runxfail",), {"failed": 4}, "failed"),
        ({}, (), {"failed": 4}, "xpassed"),
        ({}, ("--runxfail",), {"passed": 4}, "passed"),
        ({"correct": 30}, (), {"skipped": 4}, "skipped"),
    ],
)
def test_what_a_record_knows_to_fail_must_fail(
    project, results, behave, behaviour, arguments, outcomes, word
):
    with (project.path / "conftest.py").open("a") as conftest:
        conftest.write(RECORD)
    behave(**behaviour)
    run_result = project.runpytest_inprocess("-rfx", *arguments)
    assert run_result.parseoutcomes() == outcomes
    assert {row["outcome"] for row in results()["mechanisms"]} == {word}
    if word == "xpassed":
        run_result.stdout.fnmatch_lines(["[[]XPASS(strict)[]] its record says so"])
    if word == "xfailed":
        run_result.stdout.fnmatch_lines(["XFAIL *its record says so"])


def test_a_mark_of_the_users_own_stands_beside_the_verdict(project, results):
    suite = project.path / "test_suite.py"
    mark = '@pytest.mark.xfail(reason="mine", strict=True)\n'
    suite.write_text(suite.read_text().replace("def test_image", f"{mark}def test_image"))
    run_result = project.runpytest_inprocess("-k", "ChooseAttr")
    assert run_result.parseoutcomes() == {"passed": 1, "failed": 1, "deselected": 2}
    rows = {row["id"]: (row["verdict"], row["outcome"]) for row in results()["mechanisms"]}
    assert rows["imgq-drop"] == ("holds", "xpassed")


def test_a_checkpoint_that_cannot_be_opened_ends_the_run_in_one_line(project, behave):
    behave(broken="weights that can be read, got nothing")
    run_result = project.runpytest_inprocess()
    assert run_result.ret == pytest.ExitCode.USAGE_ERROR
    run_result.stdout.fnmatch_lines(["*Exit: planted_base: weights that can be read, got nothing*"])


def test_workers_say_in_one_line_what_cannot_be_opened(project, behave):
    behave(broken="weights that can be read, got nothing")
    run_result = project.runpytest_subprocess("-n", "2")
    run_result.assert_outcomes(errors=4)
    run_result.stdout.fnmatch_lines(["no verdict: planted_base: weights that can be read*"])


def test_a_record_may_except_a_mechanism_or_one_of_its_tasks():
    exceptions = {"a[ChooseAttr]": "fails", "b": "inconclusive"}
    assert exception_for(exceptions, "a", "ChooseAttr") == "fails"
    assert exception_for(exceptions, "a", "QueryAttr") is None
    assert exception_for(exceptions, "b", "QueryAttr") == "inconclusive"
    assert exception_for(exceptions, "b", None) == "inconclusive"


def test_a_failed_self_test_leaves_no_verdict_standing(run, results, behave):
    checks = [
        {"name": "fast-path", "passed": True, "detail": "as it should be"},
        {"name": "batch-parity", "passed": False, "detail": "apart; likely cause: padding"},
    ]
    behave(self_test=checks)
    run_result = run()
    # A gate does not pass on nothing.
    assert run_result.ret == 1
    content = results()
    assert content["summary"] == {"instrument-dependent": 4}
    assert "batch-parity" in content["mechanisms"][0]["reason"]
    assert [check["passed"] for check in content["self_test"]] == [True, False]
    run_result.stdout.fnmatch_lines(["gate (mechanisms): failed: the self-test failed on*"])
    run_result.stdout.fnmatch_lines(["self-test failed: batch-parity: apart; likely cause*"])

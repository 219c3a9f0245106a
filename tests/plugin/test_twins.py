"""The second opinion on verdicts by knockout: what the other methods say of the same assertion."""

from __future__ import annotations

import json

import pytest

from mmflow_bench.plugin.twins import qualifier

QUESTION = "question->last"
NO_DROP = {"question->last": 0.0, "image->question": 0.0}
DROP = {"question->last": -0.4, "image->question": -0.5}


@pytest.mark.parametrize(
    ("behaviour", "verdict", "expected"),
    [
        ({}, "holds", "confirmed-by-counterfactual"),
        ({"counterfactual": NO_DROP}, "holds", "knockout-only"),
        (
            {"counterfactual": NO_DROP, "unnormalised": NO_DROP},
            "holds",
            "renormalisation-artefact",
        ),
        ({"unnormalised": NO_DROP}, "holds", "confirmed-by-counterfactual"),
        ({"drops": NO_DROP, "counterfactual": DROP}, "fails", "knockout-only"),
        ({"drops": NO_DROP}, "fails", "confirmed-by-counterfactual"),
    ],
)
def test_the_qualifier_says_what_the_twins_say(
    project, behave, results, behaviour, verdict, expected
):
    behave(**behaviour)
    project.runpytest_inprocess()
    rows = results()["mechanisms"]
    assert {row["verdict"] for row in rows} == {verdict}
    assert {row["qualifier"] for row in rows} == {expected}


def test_workers_have_second_opinions_too(project, results):
    project.runpytest_subprocess("-n", "2")
    assert {row["qualifier"] for row in results()["mechanisms"]} == {"confirmed-by-counterfactual"}


def test_twins_can_be_left_out(project, results):
    project.runpytest_inprocess("--no-twins")
    assert {row["qualifier"] for row in results()["mechanisms"]} == {""}


def test_an_undecided_verdict_asks_for_no_second_opinion(project, behave, results):
    behave(drops={"question->last": -0.12, "image->question": -0.12}, noise=0.4)
    project.runpytest_inprocess()
    assert {row["qualifier"] for row in results()["mechanisms"]} == {""}


def test_a_mechanism_outside_the_catalogue_is_not_asked_again(project, results):
    (project.path / "test_suite.py").write_text(
        """
calls = []

def test_mine(flow):
    calls.append(flow)
    assert len(calls) == 1
    assert flow("question -> last", "ChooseAttr").peak <= -0.1
"""
    )
    project.runpytest_inprocess().assert_outcomes(passed=1)
    assert results()["mechanisms"][0]["qualifier"] == ""


def test_the_table_of_samples_holds_every_method(project):
    project.runpytest_inprocess()
    import pyarrow.parquet as pq

    (path,) = project.path.glob(".mmflow/runs/*/samples.parquet")
    assert set(pq.read_table(path)["method"].to_pylist()) == {
        "masked",
        "counterfactual",
        "unnormalised",
    }


def test_all_planned_edges_of_the_twins_are_measured_at_once(project):
    project.runpytest_inprocess()
    calls = [json.loads(line) for line in (project.path / "ensured.jsonl").read_text().splitlines()]
    twins = [call for call in calls if "counterfactual" in call["methods"]]
    assert [call["edges"] for call in twins] == [["image->question", QUESTION]] * 2


@pytest.mark.parametrize("unnormalised", [None, "inconclusive", "holds"])
def test_without_a_counterfactual_nothing_is_confirmed(unnormalised):
    assert qualifier("holds", counterfactual=None, unnormalised=unnormalised) == "knockout-only"

"""The second opinion on verdicts by knockout: what the other methods say of the same assertion."""

from __future__ import annotations

import json

import pytest

from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.runs.opinions import qualifier

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
def test_the_qualifier_says_what_the_other_methods_say(
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


def test_second_opinions_can_be_left_out(project, results):
    project.runpytest_inprocess("--no-twins")
    assert {row["qualifier"] for row in results()["mechanisms"]} == {""}


def test_an_undecided_verdict_asks_for_no_second_opinion(project, behave, results):
    behave(drops={"question->last": -0.12, "image->question": -0.12}, noise=0.4)
    project.runpytest_inprocess()
    assert {row["qualifier"] for row in results()["mechanisms"]} == {""}


OWN = """
import pytest

@pytest.mark.mechanism("mine", tier={tier!r})
def test_mine(flow):
    '''The question is read.'''
    assert flow("question -> last", "ChooseAttr", width={width}).peak <= -0.1

def test_without_a_marker(flow):
    assert flow("question -> last", "ChooseAttr").peak <= -0.1
"""


@pytest.mark.parametrize(
    ("tier", "width", "expected"),
    [
        ("holds", None, "confirmed-by-counterfactual"),
        ("replicates", None, ""),
        ("control", None, ""),
        ("holds", 1, ""),
    ],
)
def test_a_mechanism_of_ones_own_is_asked_again_like_any_other(
    project, results, tier, width, expected
):
    (project.path / "test_suite.py").write_text(OWN.format(tier=tier, width=width))
    project.runpytest_inprocess().assert_outcomes(passed=2)
    rows = {row["id"]: row["qualifier"] for row in results()["mechanisms"]}
    confirmed = "confirmed-by-counterfactual"
    assert rows == {"mine": expected, "test_without_a_marker": confirmed}


def test_the_table_of_samples_holds_every_method(project):
    project.runpytest_inprocess()
    import pyarrow.parquet as pq

    (path,) = project.path.glob(".mmflow/runs/*/samples.parquet")
    assert set(pq.read_table(path)["method"].to_pylist()) == {
        "masked",
        "counterfactual",
        "unnormalised",
    }


def test_all_planned_edges_of_second_opinions_are_measured_at_once(project):
    project.runpytest_inprocess()
    calls = [json.loads(line) for line in (project.path / "ensured.jsonl").read_text().splitlines()]
    asked = [call for call in calls if "counterfactual" in call["methods"]]
    assert [call["edges"] for call in asked] == [["image->question", QUESTION]] * 2


@pytest.mark.parametrize("unnormalised", [None, "inconclusive", "holds"])
def test_without_a_counterfactual_nothing_is_confirmed(unnormalised):
    assert qualifier("holds", counterfactual=None, unnormalised=unnormalised) == "knockout-only"


def test_a_crash_while_it_is_asked_again_is_a_crash(project, results):
    (project.path / "test_suite.py").write_text(
        """
import pytest

@pytest.mark.mechanism("q-last-drop")
def test_breaks_the_second_time(flow):
    drop = flow("question -> last", "ChooseAttr")
    if "seen" in globals():
        raise KeyError("unrelated")
    assert drop.peak <= -0.1
    if drop.peak.n > 1:  # a watched test sees one sample
        globals()["seen"] = True
"""
    )
    project.runpytest_inprocess().assert_outcomes(failed=1)
    content = results()
    assert content["summary"] == {}
    assert "KeyError" in content["errors"][0]["message"]


def test_a_guard_answers_what_it_has_been_taught_and_nothing_else():
    from mmflow_bench.mechanisms.guarded import GuardedMeasurements
    from mmflow_bench.mechanisms.measuring import SecondOpinions

    assert not {"__getattr__", "__getattribute__"} & {*vars(GuardedMeasurements)}
    asked = {name for name in dir(Measured) if not name.startswith("_")}
    for passed_on in (GuardedMeasurements, SecondOpinions):
        assert asked == {name for name in dir(passed_on) if not name.startswith("_")} & asked
    # What gives numbers of a mechanism is guarded itself, never merely passed on.
    assert {"table", "ensure", "part"} <= {*vars(GuardedMeasurements)}

"""Many mechanisms as one statement: as the paper says, otherwise, or not known."""

from __future__ import annotations

import pytest

from mmflow_bench.mechanisms.consistent import as_the_paper_says
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.paper import NEXT_LLAMA3_8B, NEXT_VICUNA_7B, VICUNA_7B, VICUNA_13B
from mmflow_bench.mechanisms.verdicts import NotApplicable

EDGES = ("Sec. 5, edges into the last position",)
TO_QUESTION = ("Sec. 5, image to question",)
LENS = ("Sec. 7, logit lens",)
BUT = ("lens-newline-8b",)


def told(measured, sections, paper_model=NEXT_VICUNA_7B, kind="base", **options):
    return as_the_paper_says(
        Flow(of_one_task(measured(kind, paper_model=paper_model, **options))), sections, but=BUT
    )


def of_one_task(measurements):
    """Rows on other tasks, and on all of them, do not apply."""
    measurements.tasks = ("ChooseAttr",)
    return measurements


@pytest.mark.parametrize(("sections", "count"), [(EDGES, 5), (TO_QUESTION, 8)])
def test_all_rows_hold_where_the_flow_is_the_papers(measured, sections, count):
    found = told(measured, sections)
    assert found.verdict == "holds", found
    assert found.reason.startswith(f"{count} of {count} as the paper says; decided by ")


@pytest.mark.parametrize(
    ("sections", "kind", "deciding"),
    [
        (EDGES, "self_loop", "q-last-predominant"),
        (TO_QUESTION, "late_stage2", "imgq-"),
        (LENS, "no_lower", "lens-"),
    ],
)
def test_one_row_that_is_otherwise_is_enough_to_fail_and_is_shown(
    measured, sections, kind, deciding
):
    found = told(measured, sections, kind=kind)
    assert found.verdict == "fails"
    assert found.qualifier.startswith(deciding)
    assert found.reason.endswith(f"decided by {found.qualifier.partition(',')[0]}")


def test_what_the_paper_sees_fail_must_fail(measured):
    late = {"read": range(22, 38)}
    assert told(measured, LENS, NEXT_LLAMA3_8B, "no_lower", changed=late).verdict == "holds"
    found = told(measured, LENS, NEXT_LLAMA3_8B, "base")
    assert found.verdict == "fails"
    assert found.threshold.startswith("not ")


def test_few_images_leave_it_open(measured):
    found = told(measured, EDGES, n=6, noise=0.05)
    assert found.verdict == "inconclusive"


def test_rows_that_compare_checkpoints_count_where_both_are_measured(measured):
    smaller = of_one_task(measured("weak_stage1", paper_model=VICUNA_7B))
    alone = as_the_paper_says(Flow(smaller), TO_QUESTION)
    pair = Flow(smaller, others={VICUNA_13B: measured(paper_model=VICUNA_13B)})
    both = as_the_paper_says(pair, TO_QUESTION)
    assert (alone.verdict, both.verdict) == ("holds", "holds")
    assert int(both.reason.split()[2]) == int(alone.reason.split()[2]) + 1


def test_a_run_without_a_row_that_applies_has_none_to_speak_of(measured):
    nothing = measured(paper_model=VICUNA_7B)
    nothing.tasks = ()
    with pytest.raises(NotApplicable, match=r"no mechanism of Sec\. 5"):
        as_the_paper_says(Flow(nothing), EDGES)

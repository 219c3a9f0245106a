"""Beyond the paper: whether what knockouts and the lens show depends on how one looks."""

import pytest

from mmflow_bench import APPEARED, CONSISTENT, NEGLIGIBLE, SIX_TASKS, report
from mmflow_bench.mechanisms.bands import SLIGHT
from mmflow_bench.mechanisms.instruments import (
    flips_to_other_answer,
    gain_of_other_answer,
    of_wrong_answers,
    renormalisation,
)
from mmflow_bench.mechanisms.paper import PAPER_MODELS
from mmflow_bench.mechanisms.several import all_of, same_verdict

pytestmark = pytest.mark.mechanism(
    section="beyond the paper, instruments", suite="all", tier="control", unsaid_of=PAPER_MODELS
)

EDGES = ("image -> question", "question -> last")


@pytest.mark.mechanism("x-cf-value", citation="arXiv:2309.16042, arXiv:2604.09364")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_what_is_lost_is_what_another_image_brings(flow, task):
    """Where a knockout loses the answer, another image's values bring that image's answer."""
    into, read = (flow(edge, task) for edge in EDGES)
    told, retold = (gain_of_other_answer(flow, edge, task) for edge in EDGES)
    assert (
        into.is_present
        & read.is_present
        & (told.peak <= SLIGHT)
        & (retold.peak <= SLIGHT)
        # Of two drops the deeper one, and of one that is wide its middle.
        & (into.peak_depth - told.peak_depth).within(-CONSISTENT, CONSISTENT)
        & (read.centre - retold.centre).within(-CONSISTENT, CONSISTENT)
    )


@pytest.mark.mechanism("x-cf-flips", citation="arXiv:2604.09364")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_so_many_answers_become_the_other_images(flow, task):
    """Another image's values at the question turn so many answers into that image's."""
    assert report(flips_to_other_answer(flow, "image -> question", task).peak)


@pytest.mark.mechanism("x-renorm", citation="arXiv:2309.16042")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_masking_does_what_cutting_does(flow, task):
    """That a masked edge hands its attention on changes nothing that matters."""
    changes = [renormalisation(flow, edge, task) for edge in EDGES]
    assert all_of([one.equivalent_to_zero(NEGLIGIBLE) for one in changes])


@pytest.mark.mechanism("x-role-llamas", citation="Sec. 7, Eq. 8; arXiv:2303.08112")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_lens_says_the_same_with_and_without_the_norm(flow, task):
    """What the lens shows of the answer is the same with and without the final norm."""
    (lower, upper), (raw_lower, raw_upper) = (
        [flow.lens(probe, task, variant=name) for probe in ("noncapitalized", "capitalized")]
        for name in ("normed", "raw")
    )
    assert all_of(
        [
            same_verdict(lower.max >= APPEARED, raw_lower.max >= APPEARED),
            same_verdict(lower.final <= 0.05, raw_lower.final <= 0.05),
            same_verdict(upper.max_until(0.5) <= APPEARED, raw_upper.max_until(0.5) <= APPEARED),
            same_verdict(upper.final >= 0.50, raw_upper.final >= 0.50),
        ]
    )


@pytest.mark.mechanism("x-hallucination", citation="arXiv:2411.16724", tier="holds")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_right_answers_need_the_image_so_much_more_than_wrong_ones(flow, task):
    """Right answers lose so much more than wrong ones where the image is cut off the question."""
    edge = "image -> question"
    assert report(flow(edge, task).peak - of_wrong_answers(flow, edge, task).peak)

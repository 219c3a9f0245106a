"""Sec. 6: related patches are few and others many, so that both are compared patch by patch."""

import pytest

from mmflow_bench import B1, SIX_TASKS, report
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(
    section="Sec. 6, patch by patch",
    citation="Sec. 6",
    suite="paper",
    unsaid_of=PAPER_MODELS,
)


@pytest.mark.mechanism("related-area")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_share_of_the_patches_that_are_related(flow, task):
    """The share of an image's patches that show what is asked about."""
    assert report(flow.patch_areas(task).related)


@pytest.mark.mechanism("oth-size-matched")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_as_many_other_patches_against_the_related_ones(flow, task):
    """What as many other patches, drawn at random, lose in the first stage beyond the related
    ones.
    """
    matched, related = (
        flow(f"{of} -> question", task).peak_in(B1) for of in ("matched_patches", "related_patches")
    )
    assert report(matched - related)


@pytest.mark.mechanism("oth-per-patch")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_drop_of_some_other_patches_against_their_share(flow, task):
    """The part of the other patches' drop that some of them lose, beyond the part that they are:
    zero where every patch adds its share, negative where all others know what one patch knows.
    """
    matched, other = (
        flow(f"{of} -> question", task).peak_in(B1) for of in ("matched_patches", "other_patches")
    )
    assert report(matched / other - flow.patch_areas(task).related_to_other)


@pytest.mark.mechanism("oth-padding")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_patches_of_padding_alone(flow, task):
    """What the patches that show only padding lose in the first stage."""
    assert report(flow("padding_patches -> question", task).peak_in(B1))

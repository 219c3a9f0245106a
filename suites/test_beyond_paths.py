"""Beyond the paper: whether the named paths are all there are, and enough; heads, patched states.

What the literature since asks of the same checkpoints. Where it gives no threshold, an estimate is
reported and no verdict.
"""

import pytest

from mmflow_bench import MID, SIX_TASKS, report
from mmflow_bench.inputs.samples import Task
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.mechanisms.bands import B2, HIGH, LOWEST, NEGLIGIBLE
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(
    section="beyond the paper, paths", suite="all", unsaid_of=PAPER_MODELS
)

EVERYTHING = "image -> text"
BOTH_TRANSFERS = (LOWEST.low, B2.high)
"""Depths at which the paper sees the image reach the question."""
BACKPATCHED = {"late": 0.5, "early": 0.1}
BACKPATCHED_LATER = {"late": 0.75, "early": 0.25}


def _claimed_alone(task):
    """What is cut where no more is left of the image's paths than the paper claims."""
    return [
        # The paper sees a slight direct flow in one task.
        "image -> prefix+suffix" if task == Task.QUERY_ATTR else "image -> prefix+suffix+last",
        Stretch.of("image -> question", outside=BOTH_TRANSFERS),
        Stretch.of("question -> suffix+last", outside=MID),
        Stretch.of("suffix -> last", outside=MID),
    ]


@pytest.mark.mechanism("x-closure", citation="Sec. 5, Figs. 3-4")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_without_its_paths_the_image_is_not_seen(flow, task):
    """With the image cut off question, suffix and last position it is as good as not there."""
    cut, blind = flow.cut(task, "image -> question+suffix+last"), flow.cut(task, EVERYTHING)
    same_answers = (cut.likeliest - blind.likeliest).equivalent_to_zero(NEGLIGIBLE)
    same_chances = (cut.probability - blind.probability).equivalent_to_zero(NEGLIGIBLE)
    assert same_answers & same_chances


@pytest.mark.mechanism("x-sufficiency", citation="Sec. 5; arXiv:2510.13251; arXiv:2504.13151")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_claimed_paths_are_enough(flow, task):
    """The paths that the paper claims keep most of what the image adds to the answer."""
    kept = flow.cut(task, *_claimed_alone(task))
    assert kept.faithfulness(flow.cut(task, EVERYTHING)) >= 0.8


@pytest.mark.mechanism("x-eoi-gate", citation="arXiv:2412.06646")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_no_single_position_after_the_image_is_its_gate(flow, task):
    """The position after the image passes on at most a fifth of what the image gives."""
    gate, image = flow.cut(task, "after_image -> following"), flow.cut(task, EVERYTHING)
    assert gate.change >= 0.2 * image.change


@pytest.mark.mechanism("x-eoi-gate-first", citation="arXiv:2412.06646")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_what_the_first_position_passes_on(flow, task):
    """What it costs that nothing arrives from the first position, which sees no image."""
    # It absorbs attention: cut before the softmax, others would be read in its place.
    assert report(flow.cut(task, "first -> following", method="unnormalised").change)


@pytest.mark.mechanism("x-eoi-gate-newline", citation="arXiv:2412.06646")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_line_breaks_between_patches_are_no_gate(flow, task):
    """Line breaks within the image pass on at most a fifth of what the image gives."""
    gate = flow.cut(task, "newline -> text")
    assert gate.change >= 0.2 * flow.cut(task, EVERYTHING).change


@pytest.mark.mechanism("x-intra-image", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_image_in_high_layers(flow, task):
    """What it costs to cut image positions off each other in the high layers."""
    assert report(_within_image(flow, task, HIGH))


@pytest.mark.mechanism("x-intra-image-mid", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_image_in_middle_layers(flow, task):
    """What it costs to cut image positions off each other in the middle layers."""
    assert report(_within_image(flow, task, MID))


@pytest.mark.mechanism("x-intra-image-low", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_image_in_low_layers(flow, task):
    """What it costs to cut image positions off each other in the first layers."""
    assert report(_within_image(flow, task, LOWEST))


@pytest.mark.mechanism("x-intra-related", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_to_related_patches_in_high_layers(flow, task):
    """What it costs to cut other patches off the related ones in the high layers."""
    assert report(_other_to_related(flow, task, HIGH))


@pytest.mark.mechanism("x-intra-related-mid", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_to_related_patches_in_middle_layers(flow, task):
    """What it costs to cut other patches off the related ones in the middle layers."""
    assert report(_other_to_related(flow, task, MID))


@pytest.mark.mechanism("x-intra-related-low", citation="arXiv:2503.13108")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_to_related_patches_in_low_layers(flow, task):
    """What it costs to cut other patches off the related ones in the first layers."""
    assert report(_other_to_related(flow, task, LOWEST))


def _within_image(flow, task, band):
    return flow.cut(task, Stretch.of("image -> image", within=band, spares_self=True)).change


def _other_to_related(flow, task, band):
    return flow.cut(task, Stretch.of("other_patches -> related_patches", within=band)).change


@pytest.mark.mechanism("x-head-sparsity", citation="arXiv:2509.17588")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_heads_that_carry_most_of_image_to_question(flow, task):
    """How many heads carry four fifths of what the question reads from the image."""
    assert report(flow.heads("image -> question", task).number_for(0.8))


# A gain of accuracy is to be seen where many answers are wrong.
@pytest.mark.mechanism("x-backpatch", citation="arXiv:2506.09047", minimum_accuracy=0.0)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_accuracy_with_late_image_states(flow, task):
    """Accuracy gained where image states of half the depth enter an early layer."""
    assert report(flow.backpatch(task, **BACKPATCHED).accuracy_gain)


@pytest.mark.mechanism("x-backpatch-probability", citation="arXiv:2506.09047", minimum_accuracy=0.0)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_probability_with_late_image_states(flow, task):
    """Probability gained where image states of half the depth enter an early layer."""
    assert report(flow.backpatch(task, **BACKPATCHED).probability_gain)


@pytest.mark.mechanism("x-backpatch-later", citation="arXiv:2506.09047", minimum_accuracy=0.0)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_accuracy_with_later_image_states(flow, task):
    """Accuracy gained where image states of high layers enter at a quarter of the depth."""
    assert report(flow.backpatch(task, **BACKPATCHED_LATER).accuracy_gain)

"""App. C: the last sub-word of an answer changes as the first one does."""

import pytest

from mmflow_bench import B1, LATER_HALF, MID, NEGLIGIBLE, SIGNIFICANT, SIX_TASKS
from mmflow_bench.mechanisms.bands import SLIGHT
from mmflow_bench.mechanisms.paper import PAPER_MODELS, TWO_DROP_TASKS, VICUNA_13B
from mmflow_bench.mechanisms.several import all_of, same_verdict

pytestmark = pytest.mark.mechanism(
    suite="paper",
    section="App. C, the last sub-word",
    # The paper shows the last sub-word of one checkpoint only.
    unsaid_of=tuple(model for model in PAPER_MODELS if model != VICUNA_13B),
)

ALIKE = 0.9
"""Least correlation of curves of the first and of the last piece."""


@pytest.mark.mechanism("sub-last-edges", citation="App. C, Fig. 9")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_edges_into_the_last_position_are_the_same_at_the_last_piece(flow, task):
    """What the last position reads is the same for the last sub-word of the answer."""
    alike = [curves_alike(flow, "question -> last", task)]
    assert all_of([*same_on_both(flow, task, edges_into_last), *alike])


@pytest.mark.mechanism("sub-imgq", citation="App. C, Fig. 10")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_question_is_the_same_at_the_last_piece(flow, task):
    """The image reaches the question as it does for the first sub-word of the answer."""
    alike = [curves_alike(flow, "image -> question", task)]
    assert all_of([*same_on_both(flow, task, image_to_question), *alike])


@pytest.mark.mechanism("sub-patches", citation="App. C, Fig. 11")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_patches_to_question_are_the_same_at_the_last_piece(flow, task):
    """Related and other patches reach the question as they do for the first sub-word."""
    edges = [f"{of} -> question" for of in ("other_patches", "related_patches")]
    alike = [curves_alike(flow, edge, task) for edge in edges]
    assert all_of([*same_on_both(flow, task, patches_to_question), *alike])


def same_on_both(flow, task, claims):
    """Every claim with one verdict at the first piece and at the last."""
    first, last = (claims(flow.piece(which), task) for which in ("first", "last"))
    return [same_verdict(one, other) for one, other in zip(first, last, strict=True)]


def curves_alike(flow, edge, task):
    first, last = (flow.piece(which)(edge, task) for which in ("first", "last"))
    return last.correlation(first) >= ALIKE


def edges_into_last(flow, task):
    """The claims of Sec. 5, experiment 1."""
    question, image, last = (flow(f"{of} -> last", task) for of in ("question", "image", "last"))
    # In QueryAttr alone the paper sees a slight flow from the image.
    slight = image.peak.within(-0.10, -0.02)
    return [
        last.equivalent_to_zero(NEGLIGIBLE),
        question.peak <= SIGNIFICANT,
        question.is_present & question.peak_depth.within(*MID) & question.centre.within(*MID),
        (question.peak <= SIGNIFICANT)
        & (image.peak / question.peak <= 0.5)
        & (last.peak / question.peak <= 0.5),
        slight if task == "QueryAttr" else image.equivalent_to_zero(NEGLIGIBLE),
    ]


def image_to_question(flow, task):
    """The claims of Sec. 5, experiment 2, that are on single tasks."""
    drop, second = flow("image -> question", task), flow.second_drop("image -> question", task)
    later = second.peak <= (-0.08 if task in TWO_DROP_TASKS else SLIGHT)
    return [
        drop.peak <= SIGNIFICANT,
        drop.peak_in(B1) <= -0.20,
        later,
        drop.at(B1).is_present & (second.peak > drop.at(B1).peak),
        drop.is_present & drop.at(LATER_HALF).equivalent_to_zero(NEGLIGIBLE),
    ]


def patches_to_question(flow, task):
    """The claims of Sec. 6."""
    other, related = (flow(f"{of}_patches -> question", task) for of in ("other", "related"))
    later = [flow.second_drop(f"{of}_patches -> question", task) for of in ("other", "related")]
    one_layer = 1 / flow.layers
    dominance = (
        later[1].peak - later[0].peak <= -0.05
        if task in TWO_DROP_TASKS
        else (later[1].peak <= SLIGHT) & (later[1].peak < later[0].peak)
    )
    return [
        other.peak_in(B1) - related.peak_in(B1) <= -0.10,
        dominance,
        other.is_present & related.is_present & (related.centre - other.centre >= one_layer),
    ]

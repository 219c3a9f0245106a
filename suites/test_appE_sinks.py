"""App. E: patches of outstanding norm, which the flow of the other patches may be due to."""

import pytest

from mmflow_bench import B1, NEGLIGIBLE, SIGNIFICANT, SIX_TASKS, report
from mmflow_bench.mechanisms.bands import SLIGHT
from mmflow_bench.mechanisms.paper import PAPER_MODELS, TWO_DROP_TASKS, VICUNA_7B, VICUNA_13B
from mmflow_bench.mechanisms.several import all_of, same_verdict

pytestmark = pytest.mark.mechanism(
    section="App. E, attention sinks", citation="App. E, Figs. 15-16", suite="paper"
)
OTHERS = tuple(name for name in PAPER_MODELS if name != VICUNA_13B)
"""The paper looks at the sinks of one checkpoint."""
KINDS = {
    "": ("related_patches", "other_patches"),
    "sinks": ("related_without_sinks", "other_without_sinks"),
    "decoder sinks": ("related_without_decoder_sinks", "other_without_decoder_sinks"),
}
"""Related and other patches, by what is left out of them."""


@pytest.mark.mechanism("sink-count", tier="replicates", only_for=(VICUNA_13B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_about_three_patches_are_sinks(flow, task):
    """About 3.3 of 576 patches have a norm above 57."""
    assert flow.patch_norms(task).require_papers_threshold().sinks.within(2.3, 4.3)


@pytest.mark.mechanism("sink-count-projected", only_for=(VICUNA_13B,), unsaid_of=PAPER_MODELS)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_patches_above_the_same_norm_after_the_projector(flow, task):
    """How many patches have a norm above 57 after the projector, which the paper may mean."""
    assert report(flow.patch_norms(task).require_papers_threshold().sinks_projected)


@pytest.mark.mechanism("sink-norms", unsaid_of=PAPER_MODELS)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_how_far_the_largest_norm_stands_out(flow, task):
    """The largest norm of an image's patches, in multiples of the median."""
    assert report(flow.patch_norms(task).outstanding)


@pytest.mark.mechanism("sink-excluded", unsaid_of=OTHERS)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_verdicts_stay_without_patches_of_outstanding_norm(flow, task):
    """Without patches of outstanding norm related and other patches do in both stages as with
    them.
    """
    flow.patch_norms(task).require_sinks()
    assert verdicts_stay_without(flow, task, "sinks")


@pytest.mark.mechanism(
    "x-sink-vit",
    suite="all",
    citation="Darcet et al., arXiv:2309.16588; Kang et al., arXiv:2503.03321",
    unsaid_of=PAPER_MODELS,
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_drops_stay_without_sinks_of_the_vision_tower(flow, task):
    """Without the vision tower's sinks drops are as deep, and verdicts the same."""
    flow.patch_norms(task).require_sinks()
    stay = verdicts_stay_without(flow, task, "sinks")
    assert stay & drops_stay_without(flow, task, "sinks")


@pytest.mark.mechanism(
    "x-sink-llm",
    suite="all",
    citation="Kang et al., arXiv:2503.03321",
    unsaid_of=PAPER_MODELS,
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_drops_stay_without_sinks_of_the_decoder(flow, task):
    """Without the decoder's sinks drops are as deep, and verdicts the same."""
    flow.patch_norms(task).require_decoder_sinks()
    stay = verdicts_stay_without(flow, task, "decoder sinks")
    assert stay & drops_stay_without(flow, task, "decoder sinks")


def verdicts_stay_without(flow, task, sinks):
    """Whether others predominate first and related patches then, or not, as they do with sinks."""
    return all_of(
        [
            same_verdict(asked(flow, task, ""), asked(flow, task, sinks))
            for asked in (others_predominate_first, related_dominate_second)
        ]
    )


def drops_stay_without(flow, task, sinks):
    """Whether the drop of either kind is as deep, where that kind is the stronger one."""
    pairs = [(first_drop(flow, task, one), second_drop(flow, task, one)) for one in ("", sinks)]
    with_sinks, without = pairs
    return all_of(
        [
            (one - other).equivalent_to_zero(NEGLIGIBLE)
            for one, other in zip(with_sinks, without, strict=True)
        ]
    )


def others_predominate_first(flow, task, sinks):
    related = flow(f"{KINDS[sinks][0]} -> question", task).peak_in(B1)
    # App. I: weaker in the 7b checkpoint.
    least = -0.03 if flow.paper_model == VICUNA_7B else SIGNIFICANT
    return first_drop(flow, task, sinks) - related <= least


def related_dominate_second(flow, task, sinks):
    related = second_drop(flow, task, sinks)
    other = flow.second_drop(f"{KINDS[sinks][1]} -> question", task).peak
    if task in TWO_DROP_TASKS:
        return related - other <= -0.05
    return (related <= SLIGHT) & (related < other)


def first_drop(flow, task, sinks):
    return flow(f"{KINDS[sinks][1]} -> question", task).peak_in(B1)


def second_drop(flow, task, sinks):
    return flow.second_drop(f"{KINDS[sinks][0]} -> question", task).peak

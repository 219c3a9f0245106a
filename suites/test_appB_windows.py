"""App. B: the same flows in windows of 1, 3, 5, 7, 9, 11 and 15 of 40 layers."""

import pytest

from mmflow_bench import B2, MID, NEGLIGIBLE, SIGNIFICANT, at_least
from mmflow_bench.interventions.knockout import window_width
from mmflow_bench.mechanisms.bands import LOWEST
from mmflow_bench.mechanisms.paper import NEXT_LLAMA3_8B, NEXT_VICUNA_7B, VICUNA_7B
from mmflow_bench.mechanisms.several import all_of, never_rises

pytestmark = [
    pytest.mark.mechanism(
        section="App. B, window size",
        citation="App. B, Fig. 7",
        suite="paper",
        # The paper has looked at LLaVA-1.5-13b.
        unsaid_of=(VICUNA_7B, NEXT_VICUNA_7B, NEXT_LLAMA3_8B),
    ),
    pytest.mark.parametrize("task", ["ChooseAttr"]),
]


@pytest.mark.mechanism("win-qlast-mid")
def test_question_to_last_peaks_mid_depth_in_windows_of_every_width(flow, task):
    """In windows of every width the question reaches the last position in the middle layers."""
    # A single layer takes so little that where it takes most is chance.
    drops = [drop for drop in flow.by_width("question -> last", task) if drop.width > 1]
    places = [drop.peak_depth.within(*MID) for drop in drops]
    assert flow("question -> last", task).is_present & all_of(places)


@pytest.mark.mechanism("win-imglast-null")
def test_image_to_last_is_negligible_in_windows_of_every_width(flow, task):
    """In windows of no width does the image reach the last position directly."""
    edges = flow.by_width("image -> last", task)
    assert all_of([edge.equivalent_to_zero(NEGLIGIBLE) for edge in edges])


@pytest.mark.mechanism("win-imgq-two-low", citation="App. B, Fig. 8")
def test_two_drops_follow_each_other_in_windows_up_to_the_usual_width(flow, task):
    """In windows of up to nine layers two drops follow each other in the lower layers."""
    usual = window_width(flow.layers)
    between = [one for width, one in recoveries(flow, task) if width <= usual]
    assert all_of([one.at_least(0.03, bound=0.0) for one in between])


@pytest.mark.mechanism("win-merge", citation="App. B, Fig. 8")
def test_the_two_drops_merge_as_windows_widen(flow, task):
    """As windows widen, the two drops from the image gradually merge into one."""
    between = [one for width, one in recoveries(flow, task) if width > 1]
    assert (
        at_least(1, [one.at_least(0.03, bound=0.0) for one in between])
        & never_rises(between, within=-SIGNIFICANT)
        & between[-1].equivalent_to_zero(NEGLIGIBLE)
    )


@pytest.mark.mechanism("win-monotone", citation="App. B, Figs. 7-8")
def test_drops_become_more_pronounced_as_windows_widen(flow, task):
    """The wider the window, the more probability is lost."""
    edges = ("question -> last", "image -> question")
    peaks = [[drop.peak for drop in flow.by_width(edge, task)] for edge in edges]
    more = [of_edge[-1] - of_edge[0] <= -NEGLIGIBLE for of_edge in peaks]
    assert all_of([*more, *(never_rises(of_edge, within=NEGLIGIBLE) for of_edge in peaks)])


def recoveries(flow, task):
    """Width of the window, and how far the curve recovers between two drops in low layers."""
    single = flow.single_layers("image -> question", task)
    curves = flow.by_width("image -> question", task)
    return [(one.width, one.after(single).prominence(LOWEST, B2)) for one in curves]

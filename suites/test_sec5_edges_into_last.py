"""Sec. 5, experiment 1: which positions does the last one take its information from?"""

import pytest

from mmflow_bench import MID, NEGLIGIBLE, SIGNIFICANT, SIX_TASKS, Gate, at_least
from mmflow_bench.mechanisms.paper import VICUNA_13B

pytestmark = pytest.mark.mechanism(
    section="Sec. 5, edges into the last position", citation="Sec. 5 Exp. 1, Fig. 3"
)

WITHOUT_QUERY_ATTR = [task for task in SIX_TASKS if task != "QueryAttr"]


@pytest.mark.mechanism(
    "last-last-null", citation="Sec. 5 Exp. 1 Obs. 1, Fig. 3", gate=Gate("peak", "last -> last")
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_last_position_does_not_need_itself(flow, task):
    """The last position takes nothing that matters from itself."""
    assert flow("last -> last", task).equivalent_to_zero(NEGLIGIBLE)


@pytest.mark.mechanism("q-last-drop", gate=Gate("peak", "question -> last"))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_drops_significantly(flow, task):
    """Cutting the question off the last position costs probability significantly."""
    assert flow("question -> last", task).peak <= SIGNIFICANT


@pytest.mark.mechanism("q-last-30", tier="replicates", only_for=(VICUNA_13B,))
@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_question_to_last_drops_by_30_percent(flow, task):
    """Cutting the question off the last position costs up to about 30%."""
    assert flow("question -> last", task).peak.within(-0.40, -0.20)


@pytest.mark.mechanism("q-last-mid", gate=Gate("centre", "question -> last"))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_peaks_mid_depth(flow, task):
    """The question reaches the last position primarily in the middle layers."""
    drop = flow("question -> last", task)
    assert drop.is_present & drop.peak_depth.within(*MID) & drop.centre.within(*MID)


@pytest.mark.mechanism("q-last-predominant")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_is_at_least_twice_any_other_edge(flow, task):
    """The question's direct influence on the last position predominates."""
    question = flow("question -> last", task).peak
    image = flow("image -> last", task).peak
    last = flow("last -> last", task).peak
    assert (question <= SIGNIFICANT) & (image / question <= 0.5) & (last / question <= 0.5)


@pytest.mark.mechanism("img-last-null", gate=Gate("peak", "image -> last"))
def test_image_to_last_is_negligible_in_most_tasks(flow):
    """The image does not directly influence the last position in most tasks."""
    edges = [flow("image -> last", task) for task in WITHOUT_QUERY_ATTR]
    assert at_least(4, [edge.equivalent_to_zero(NEGLIGIBLE) for edge in edges])


@pytest.mark.mechanism("img-last-qa-slight", only_for=(VICUNA_13B,))
@pytest.mark.parametrize("task", ["QueryAttr"])
def test_image_to_last_is_slight(flow, task):
    """In QueryAttr the image slightly influences the last position directly."""
    assert flow("image -> last", task).peak.within(-0.10, -0.02)


@pytest.mark.mechanism("img-last-lt-indirect")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_last_is_at_most_a_third_of_the_indirect_path(flow, task):
    """The image's direct influence is negligible beside that through the question."""
    direct = flow("image -> last", task).peak
    indirect = flow("image -> question", task).peak
    assert (indirect <= -NEGLIGIBLE) & (direct / indirect).within(-1 / 3, 1 / 3)

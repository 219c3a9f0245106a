"""Sec. 5, experiment 1: which positions does the last one take its information from?"""

import pytest

from mmflow_bench import MID, NEGLIGIBLE, SIGNIFICANT, SIX_TASKS, at_least

WITHOUT_QUERY_ATTR = [task for task in SIX_TASKS if task != "QueryAttr"]


@pytest.mark.mechanism("last-last-null")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_last_position_does_not_need_itself(flow, task):
    assert flow("last -> last", task).equivalent_to_zero(NEGLIGIBLE)


@pytest.mark.mechanism("q-last-drop")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_drops_significantly(flow, task):
    assert flow("question -> last", task).peak <= SIGNIFICANT


@pytest.mark.mechanism("q-last-30")
@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_question_to_last_drops_by_30_percent(flow, task):
    flow.only_for("llava-1.5-13b")
    assert flow("question -> last", task).peak.within(-0.40, -0.20)


@pytest.mark.mechanism("q-last-mid")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_peaks_mid_depth(flow, task):
    drop = flow("question -> last", task)
    assert drop.is_present & drop.peak_depth.within(*MID) & drop.centre.within(*MID)


@pytest.mark.mechanism("q-last-predominant")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_is_at_least_twice_any_other_edge(flow, task):
    question = flow("question -> last", task).peak
    image = flow("image -> last", task).peak
    last = flow("last -> last", task).peak
    assert (question <= SIGNIFICANT) & (image / question <= 0.5) & (last / question <= 0.5)


@pytest.mark.mechanism("img-last-null")
def test_image_to_last_is_negligible_in_most_tasks(flow):
    edges = [flow("image -> last", task) for task in WITHOUT_QUERY_ATTR]
    assert at_least(4, [edge.equivalent_to_zero(NEGLIGIBLE) for edge in edges])


@pytest.mark.mechanism("img-last-qa-slight")
@pytest.mark.parametrize("task", ["QueryAttr"])
def test_image_to_last_is_slight(flow, task):
    flow.only_for("llava-1.5-13b")
    assert flow("image -> last", task).peak.within(-0.10, -0.02)


@pytest.mark.mechanism("img-last-lt-indirect")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_image_to_last_is_at_most_a_third_of_the_indirect_path(flow, task):
    direct = flow("image -> last", task).peak
    indirect = flow("image -> question", task).peak
    assert (indirect <= -NEGLIGIBLE) & (direct / indirect).within(-1 / 3, 1 / 3)

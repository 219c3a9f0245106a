"""App. J: which parts of the question carry what, to the last position and from the image."""

import pytest

from mmflow_bench import (
    B1,
    B2,
    CHOOSE_TASKS,
    CONSISTENT,
    NEGLIGIBLE,
    SIGNIFICANT,
    SIX_TASKS,
    agree,
    at_least,
)
from mmflow_bench.mechanisms.bands import LOWEST, SLIGHT
from mmflow_bench.mechanisms.paper import (
    NEXT_LLAMA3_8B,
    NEXT_VICUNA_7B,
    VICUNA_7B,
)
from mmflow_bench.mechanisms.rises import rise, rises
from mmflow_bench.mechanisms.several import all_of

pytestmark = pytest.mark.mechanism(
    section="App. J, parts of the question",
    suite="paper",
    # The paper has looked at LLaVA-1.5-13b.
    unsaid_of=(VICUNA_7B, NEXT_VICUNA_7B, NEXT_LLAMA3_8B),
)

OPTIONS_AT_THE_END = ["ChooseAttr", "ChooseCat"]
OPTIONS_IN_THE_MIDDLE = ["ChooseRel"]
WITHOUT_OPTIONS = ["CompareAttr", "LogicalObj", "QueryAttr"]
PARTS = {
    task: ("true_option", "false_option", "question_without_options", "objects")
    if task in CHOOSE_TASKS
    else ("objects", "question_without_objects")
    for task in SIX_TASKS
}
TWICE_FROM_THE_IMAGE = {
    # "The image information does not transfer to false option" the second time.
    "ChooseAttr": ("true_option", "question_without_options"),
    "ChooseCat": ("true_option", "question_without_options"),
    # "Most image information is transferred into question without options and objects."
    "ChooseRel": ("question_without_options", "objects"),
    "QueryAttr": ("question_without_objects", "objects"),
}
J1, J2, J3 = "App. J.1, Fig. 32", "App. J.2, Fig. 33", "App. J.3, Fig. 34"
J4, J5 = "App. J.4, Fig. 35", "App. J.5, Fig. 36"
HIGHER = 0.45
"""The paper's "higher layers" begin at this depth."""
BOTH_OPTIONS = "true_option+false_option"


@pytest.mark.mechanism("j1-true-drop", citation=J1)
@pytest.mark.parametrize("task", OPTIONS_AT_THE_END)
def test_the_true_option_reaches_the_last_position_in_higher_layers(flow, task):
    """The true option reaches the last position in the higher layers."""
    drop = flow("true_option -> last", task)
    assert (drop.peak <= SIGNIFICANT) & (drop.peak_depth >= HIGHER)


@pytest.mark.mechanism("j1-true-drop", citation=J1)
@pytest.mark.parametrize("task", OPTIONS_IN_THE_MIDDLE)
def test_a_true_option_in_the_middle_is_not_read_by_the_last_position(flow, task):
    """The true option does not significantly reach the last position from mid-question."""
    assert flow("true_option -> last", task).peak >= -NEGLIGIBLE


@pytest.mark.mechanism("j1-false-rise", citation=J1)
@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_without_the_false_option_the_answer_is_more_probable(flow, task):
    """Cutting the false option off the last position makes the answer more probable."""
    assert rise(flow("false_option -> last", task)).at_least(-SLIGHT, bound=0.0)


@pytest.mark.mechanism("j1-same-layers", citation=J1)
@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_both_options_reach_the_last_position_in_similar_layers(flow, task):
    """The true and the false option reach the last position in similar layers."""
    true, false = (flow(f"{option} -> last", task) for option in ("true_option", "false_option"))
    assert agree([true.centre, rises(false).centre], within=CONSISTENT)


@pytest.mark.mechanism("j1-options-dominant", citation=J1)
@pytest.mark.parametrize("task", OPTIONS_AT_THE_END)
def test_options_at_the_end_dominate_what_the_last_position_reads(flow, task):
    """Of the question, options at its end dominate what the last position reads."""
    options, rest = into_last(flow, task, BOTH_OPTIONS, "question_without_options")
    assert (options <= SIGNIFICANT) & (rest / options <= 0.5)


@pytest.mark.mechanism("j1-options-dominant", citation=J1)
@pytest.mark.parametrize("task", OPTIONS_IN_THE_MIDDLE)
def test_options_in_the_middle_are_dominated_by_the_rest(flow, task):
    """Options in the middle of a question are dominated by its other words."""
    options, rest = into_last(flow, task, BOTH_OPTIONS, "question_without_options")
    assert (rest <= SIGNIFICANT) & (options / rest <= 0.5)


@pytest.mark.mechanism("j1-obj-null", citation=J1)
@pytest.mark.parametrize("task", WITHOUT_OPTIONS)
def test_objects_do_not_reach_the_last_position_directly(flow, task):
    """The words for objects do not reach the last position directly, the other words do."""
    objects, rest = into_last(flow, task, "objects", "question_without_objects")
    is_null = flow("objects -> last", task).equivalent_to_zero(-SIGNIFICANT)
    assert (rest - objects <= -NEGLIGIBLE) & is_null


@pytest.mark.mechanism("j2-same-layers", citation=J2)
@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_the_question_reaches_both_options_in_similar_layers(flow, task):
    """The other words reach the true and the false option in similar layers."""
    true, false = (
        flow(f"question_without_options -> {option}", task)
        for option in ("true_option", "false_option")
    )
    # What a false option learns may speak for it or against it.
    either = (false, rises(false))
    assert at_least(1, [agree([true.centre, one.centre], within=CONSISTENT) for one in either])


@pytest.mark.mechanism("j2-before-j1", citation="App. J.2, Figs. 32-33")
@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_options_gather_the_question_before_they_are_read(flow, task):
    """The options gather the other words in lower layers before the last position reads them."""
    gathered = flow(f"question_without_options -> {BOTH_OPTIONS}", task)
    read = flow(f"{BOTH_OPTIONS} -> last", task)
    one_layer = 1 / flow.layers
    assert gathered.is_present & read.is_present & (read.centre - gathered.centre >= one_layer)


@pytest.mark.mechanism("j2-obj-low", citation=J2)
@pytest.mark.parametrize("task", ["CompareAttr", "LogicalObj"])
def test_the_question_reaches_its_objects_in_lower_layers(flow, task):
    """The other words reach the words for objects in the lower layers."""
    drop = flow("question_without_objects -> objects", task)
    assert drop.is_present & (drop.peak_depth < 0.4)


@pytest.mark.mechanism("j3-two-drops", citation=J3)
@pytest.mark.parametrize("task", list(TWICE_FROM_THE_IMAGE))
def test_the_image_reaches_parts_of_the_question_twice(flow, task):
    """The image reaches the parts of the question in the same two drops as the whole of it."""
    whole = flow("image -> question", task)
    single = flow.single_layers("image -> question", task)
    second = whole.at(B2).after(single).peak_depth
    twice, there = [], []
    for part in TWICE_FROM_THE_IMAGE[task]:
        windows, layers = (flow(f"image -> {part}", task, width=width) for width in (None, 1))
        between = [
            windows.after(single).prominence(B1, B2),
            layers.after(single).prominence(LOWEST, B2),
        ]
        twice.append(at_least(1, [one.at_least(0.03, bound=0.0) for one in between]))
        there.append(agree([windows.at(B2).after(single).peak_depth, second], within=CONSISTENT))
    assert all_of([*twice, *there])


@pytest.mark.mechanism("j3-true-gt-false-2", citation=J3)
@pytest.mark.parametrize("task", OPTIONS_AT_THE_END)
def test_the_second_time_the_image_reaches_the_true_option_alone(flow, task):
    """The second time, the image reaches the true option and not the false one."""
    true, false = second_time(flow, task, "true_option", "false_option")
    assert (true <= -NEGLIGIBLE) & (false / true <= 0.5) & (false >= -NEGLIGIBLE)


@pytest.mark.mechanism("j3-true-gt-false-2", citation=J3)
@pytest.mark.parametrize("task", OPTIONS_IN_THE_MIDDLE)
def test_the_second_time_the_image_reaches_other_words_than_options(flow, task):
    """The second time, most of the image reaches objects and other words, not the options."""
    parts = second_time(flow, task, "question_without_options", "objects")
    options = second_time(flow, task, "true_option", "false_option")
    assert all_of(
        [(part <= -NEGLIGIBLE) & (option / part <= 0.5) for part in parts for option in options]
    )


@pytest.mark.mechanism("j4-first-dominant", citation=J4)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_other_patches_reach_every_part_the_first_time(flow, task):
    """Other patches reach every part of the question predominantly the first time."""
    firsts = [flow(f"other_patches -> {part}", task).peak_in(B1) for part in PARTS[task]]
    seconds = [flow.second_drop(f"other_patches -> {part}", task).peak for part in PARTS[task]]
    assert all_of(
        [
            (first <= SLIGHT) & (second / first <= 0.5)
            for first, second in zip(firsts, seconds, strict=True)
        ]
    )


@pytest.mark.mechanism("j5-second-dominant", citation=J5)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_related_patches_reach_parts_the_second_time(flow, task):
    """Related patches reach parts of the question the second time, or not at all."""
    reached, unreached = [], []
    for part in PARTS[task]:
        edge = f"related_patches -> {part}"
        first, second = flow(edge, task).peak_in(B1), flow.second_drop(edge, task).peak
        reached.append((second <= SLIGHT) & (second < first))
        unreached.append(flow(edge, task).equivalent_to_zero(NEGLIGIBLE))
    either = [at_least(1, pair) for pair in zip(reached, unreached, strict=True)]
    assert at_least(1, reached) & all_of(either)


def into_last(flow, task, *parts):
    return [flow(f"{part} -> last", task).peak for part in parts]


def second_time(flow, task, *parts):
    return [flow.second_drop(f"image -> {part}", task).peak for part in parts]

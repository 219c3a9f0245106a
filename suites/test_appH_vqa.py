"""App. H: questions that need knowledge flow as those that need only the image.

Each is asked of the tasks that OKVQA's and A-OKVQA's own files become (docs/data.md). Neither has
boxes, so nothing is said of patches.
"""

import pytest

from mmflow_bench import APPEARED, B1, B2, MID, at_least
from mmflow_bench.inputs.samples import VQA_TASKS
from mmflow_bench.mechanisms.bands import LOWEST
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = [
    pytest.mark.mechanism(
        section="App. H, other question sets",
        citation="App. H, Figs. 18-19",
        suite="paper",
        # Which checkpoint the figures are of is not said.
        unsaid_of=PAPER_MODELS,
    ),
    pytest.mark.parametrize("task", VQA_TASKS),
]


@pytest.mark.mechanism("vqa-two-drops")
def test_there_are_two_distinct_drops(flow, task):
    """Where knowledge is asked for, the image reaches the question in two distinct drops too."""
    windows, single = flow("image -> question", task), flow("image -> question", task, width=1)
    between = [
        windows.after(single).prominence(B1, B2),
        single.after(single).prominence(LOWEST, B2),
    ]
    assert at_least(1, [one.at_least(0.03, bound=0.0) for one in between])


@pytest.mark.mechanism("vqa-q-last-mid")
def test_question_to_last_peaks_mid_depth(flow, task):
    """Where knowledge is asked for, the question is read in the middle layers too."""
    drop = flow("question -> last", task)
    assert drop.is_present & drop.peak_depth.within(*MID) & drop.centre.within(*MID)


@pytest.mark.mechanism("vqa-order")
def test_image_reaches_the_question_before_the_question_is_read(flow, task):
    """Where knowledge is asked for, the image reaches the question before that is read too."""
    before, after = flow("image -> question", task), flow("question -> last", task)
    one_layer = 1 / flow.layers
    assert before.is_present & after.is_present & (after.centre - before.centre >= one_layer)


@pytest.mark.mechanism("vqa-lens-lower-rise")
def test_lower_case_answer_becomes_probable(flow, task):
    """Where knowledge is asked for, the lower-case answer becomes probable too."""
    assert flow.lens("noncapitalized", task).max >= APPEARED


@pytest.mark.mechanism("vqa-lens-lower-mid")
def test_lower_case_answer_appears_mid_depth(flow, task):
    """Where knowledge is asked for, the lower-case answer appears around the middle layers too."""
    lower = flow.lens("noncapitalized", task)
    assert (lower.max >= APPEARED) & lower.onset.within(0.35, 0.70)


@pytest.mark.mechanism("vqa-lens-lower-fall")
def test_lower_case_answer_is_gone_at_the_end(flow, task):
    """Where knowledge is asked for, the lower-case answer is gone at the last layer too."""
    lower = flow.lens("noncapitalized", task)
    assert (lower.max >= APPEARED) & (lower.final <= 0.05)


@pytest.mark.mechanism("vqa-lens-upper-late")
def test_capitalised_answer_comes_late(flow, task):
    """Where knowledge is asked for, the capitalised answer wins at the end too."""
    upper = flow.lens("capitalized", task)
    assert upper.max_until(0.5).at_most(0.05, bound=APPEARED) & (upper.final >= 0.50)


@pytest.mark.mechanism("vqa-lens-order")
def test_lower_case_comes_first_and_capitals_take_over(flow, task):
    """Where knowledge is asked for, semantic generation is followed by syntactic refinement too."""
    lower, upper = flow.lens("noncapitalized", task), flow.lens("capitalized", task)
    lead = lower - upper
    crosses = (lead.max > 0) & (lead.final < 0)
    assert (lower.max >= APPEARED) & crosses & (lower.onset < upper.onset)

"""Sec. 7: the answer appears in lower case in the middle layers and is capitalised at the end.

Each probability is read by the lens with and without the final norm, which must agree.
"""

import pytest

from mmflow_bench import APPEARED, CHOOSE_TASKS, SIX_TASKS, Gate
from mmflow_bench.mechanisms.paper import NEXT_LLAMA3_8B, PAPER_MODELS, VICUNA_13B

pytestmark = pytest.mark.mechanism(section="Sec. 7, logit lens", citation="Sec. 7, Fig. 6")


@pytest.mark.mechanism(
    "lens-lower-rise", fails_for=(NEXT_LLAMA3_8B,), gate=Gate("lens max", "noncapitalized")
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lower_case_answer_becomes_probable(flow, task):
    """The lower-case answer becomes probable at the last position."""
    assert flow.lens("noncapitalized", task).max >= APPEARED


@pytest.mark.mechanism("lens-lower-20-70", tier="replicates", only_for=(VICUNA_13B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lower_case_answer_rises_to_20_to_70_percent(flow, task):
    """The lower-case answer rises to between 20% and 70%."""
    assert flow.lens("noncapitalized", task, variant="raw").max.within(0.15, 0.75)


@pytest.mark.mechanism("lens-lower-mid", fails_for=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lower_case_answer_appears_mid_depth(flow, task):
    """The lower-case answer appears around the middle layers."""
    lower = flow.lens("noncapitalized", task)
    assert (lower.max >= APPEARED) & lower.onset.within(0.35, 0.70)


@pytest.mark.mechanism(
    "lens-after-integration", citation="Sec. 7 Obs. 1, Figs. 3, 5, 6", fails_for=(NEXT_LLAMA3_8B,)
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_answer_appears_after_the_image_is_in_while_the_question_is_read(flow, task):
    """The answer appears once the image is in the question, while the question is still being
    read.
    """
    lower = flow.lens("noncapitalized", task)
    related, read = flow("related_patches -> question", task), flow("question -> last", task)
    assert (
        (lower.max >= APPEARED)
        & related.is_present
        & read.is_present
        & (lower.onset >= related.centre)
        & (lower.onset >= read.first_depth)
        & (lower.onset <= read.last_depth)
    )


@pytest.mark.mechanism("lens-lower-fall", unsaid_of=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lower_case_answer_is_gone_at_the_end(flow, task):
    """The lower-case answer is gone at the last layer."""
    lower = flow.lens("noncapitalized", task)
    assert (lower.max >= APPEARED) & (lower.final <= 0.05)


@pytest.mark.mechanism("lens-upper-late", gate=Gate("lens final", "capitalized"))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_capitalised_answer_comes_late(flow, task):
    """The capitalised answer stays low in the first half and wins at the end."""
    upper = flow.lens("capitalized", task)
    # Low is 5% as measured; shown is that it is not as probable as what has appeared.
    is_low = upper.max_until(0.5).at_most(0.05, bound=APPEARED)
    assert is_low & (upper.final >= 0.50)


@pytest.mark.mechanism("lens-order", citation="Sec. 7 Obs. 2, Fig. 6", fails_for=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lower_case_comes_first_and_capitals_take_over(flow, task):
    """Semantic generation is followed by syntactic refinement."""
    lower, upper = flow.lens("noncapitalized", task), flow.lens("capitalized", task)
    lead = lower - upper
    crosses = (lead.max > 0) & (lead.final < 0)
    assert (lower.max >= APPEARED) & crosses & (lower.onset < upper.onset)


@pytest.mark.mechanism("lens-false", unsaid_of=PAPER_MODELS)
@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_false_option_never_comes_near_the_true_one(flow, task):
    """The false option never comes near the true one."""
    true = flow.lens("capitalized", task) + flow.lens("noncapitalized", task)
    false = flow.lens("false_capitalized", task) + flow.lens("false_noncapitalized", task)
    assert (false.max - 0.5 * true.max <= 0) & (false.final <= 0.15)


@pytest.mark.mechanism("lens-newline-8b", citation="Sec. 7, Fig. 31", only_for=(NEXT_LLAMA3_8B,))
@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_answers_begin_with_a_new_line(flow, task):
    """Without the paper's prompt suffix Llama3-LLaVA-NeXT begins with a new line."""
    assert flow.line_break_share(task) >= 0.95

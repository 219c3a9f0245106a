"""App. D and K: what the question's positions say at the end, and what they owe it to."""

import pytest

from mmflow_bench import SIGNIFICANT, SIX_TASKS
from mmflow_bench.mechanisms.bands import B2
from mmflow_bench.mechanisms.paper import NEXT_LLAMA3_8B, NEXT_VICUNA_7B, VICUNA_7B, VICUNA_13B
from mmflow_bench.mechanisms.several import all_of
from mmflow_bench.mechanisms.verdicts import MINIMUM_ACCURACY

pytestmark = pytest.mark.mechanism(
    section="App. D and K, what the question says",
    citation="App. D, Figs. 12-13",
    suite="paper",
    # What the question says is looked at whatever is answered in the end (docs/decisions/047).
    minimum_accuracy=0.0,
)

# The appendix looks at the two checkpoints of LLaVA-1.5.
NEXT = (NEXT_VICUNA_7B, NEXT_LLAMA3_8B)


@pytest.mark.mechanism("mod-mlp-gt-mhat", unsaid_of=NEXT)
def test_the_question_owes_more_to_the_mlp_than_to_attention(flow):
    """What the question's positions say at the end owes more to the MLP than to attention."""
    lead = flow.without_module("mlp", *SIX_TASKS) - flow.without_module("attention", *SIX_TASKS)
    assert (lead.share_above_zero >= 0.90) & (lead.area > 0.05)


@pytest.mark.mechanism("mod-mlp-first", tier="replicates", only_for=(VICUNA_13B,))
def test_without_the_first_mlps_90_percent_are_lost(flow):
    """Without the MLP from the first layer on, about 90% of what the question says is lost."""
    assert flow.without_module("mlp", *SIX_TASKS).first.within(0.80, 1.00)


@pytest.mark.mechanism("mod-mlp-last", tier="replicates", only_for=(VICUNA_13B,))
def test_without_the_last_mlp_25_percent_are_lost(flow):
    """Without the MLP of the last layer, about 25% of what the question says is lost."""
    assert flow.without_module("mlp", *SIX_TASKS).last.within(0.15, 0.35)


@pytest.mark.mechanism("mod-mhat-first", tier="replicates", only_for=(VICUNA_13B,))
def test_without_the_first_attention_60_percent_are_lost(flow):
    """Without attention from the first layer on, about 60% of what the question says is lost."""
    assert flow.without_module("attention", *SIX_TASKS).first.within(0.50, 0.70)


@pytest.mark.mechanism("mod-mhat-last", tier="replicates", only_for=(VICUNA_13B,))
def test_without_the_last_attention_10_percent_are_lost(flow):
    """Without attention in the last layer, about 10% of what the question says is lost."""
    assert flow.without_module("attention", *SIX_TASKS).last.within(0.00, 0.20)


@pytest.mark.mechanism("mod-mono", unsaid_of=NEXT)
def test_the_later_a_module_is_missing_the_less_is_lost(flow):
    """The later a module is missing, the less of what the question says is lost."""
    lost = [flow.without_module(module, *SIX_TASKS) for module in ("mlp", "attention")]
    # The last windows are shorter, which alone would make them lose less.
    trends = [trend for one in lost for trend in (one.trend, one.trend_of_whole_windows)]
    assert all_of([trend < -0.8 for trend in trends])


@pytest.mark.mechanism(
    "jac-imgq-low",
    citation="App. K, Fig. 37",
    unsaid_of=(VICUNA_7B, *NEXT),
    minimum_accuracy=MINIMUM_ACCURACY,
)
@pytest.mark.parametrize("task", ["ChooseAttr"])
def test_the_image_changes_what_the_question_says_where_it_reaches_it(flow, task):
    """The image changes what the question's positions say, in the layers where it reaches them."""
    said, answer = flow.semantics("image -> question", task), flow("image -> question", task)
    assert (
        (said.peak <= SIGNIFICANT)
        & (said.peak_depth <= B2.high)
        & (said.correlation(answer) >= 0.6)
    )

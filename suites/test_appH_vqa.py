"""App. H: questions that need knowledge flow as those that need only the image.

Each is asked of the tasks that OKVQA's and A-OKVQA's own files become (docs/data.md). Neither has
boxes, so nothing is said of patches.
"""

import pytest

from mmflow_bench import APPEARED, B1, B2, MID, at_least
from mmflow_bench.inputs.samples import A_OKVQA, OKVQA
from mmflow_bench.mechanisms.bands import LOWEST
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(
    section="App. H, other question sets",
    suite="paper",
    # Which checkpoint the figures are of is not said.
    unsaid_of=PAPER_MODELS,
)


def two_distinct_drops(flow, task):
    windows, single = flow("image -> question", task), flow("image -> question", task, width=1)
    between = [
        windows.after(single).prominence(B1, B2),
        single.after(single).prominence(LOWEST, B2),
    ]
    return at_least(1, [one.at_least(0.03, bound=0.0) for one in between])


def read_mid_depth(flow, task):
    drop = flow("question -> last", task)
    return drop.is_present & drop.peak_depth.within(*MID) & drop.centre.within(*MID)


def image_before_reading(flow, task):
    before, after = flow("image -> question", task), flow("question -> last", task)
    one_layer = 1 / flow.layers
    return before.is_present & after.is_present & (after.centre - before.centre >= one_layer)


def lower_case_rises(flow, task):
    return flow.lens("noncapitalized", task).max >= APPEARED


def lower_case_rises_mid_depth(flow, task):
    lower = flow.lens("noncapitalized", task)
    return (lower.max >= APPEARED) & lower.onset.within(0.35, 0.70)


def lower_case_falls(flow, task):
    lower = flow.lens("noncapitalized", task)
    return (lower.max >= APPEARED) & (lower.final <= 0.05)


def capitals_come_late(flow, task):
    upper = flow.lens("capitalized", task)
    return upper.max_until(0.5).at_most(0.05, bound=APPEARED) & (upper.final >= 0.50)


def capitals_take_over(flow, task):
    lower, upper = flow.lens("noncapitalized", task), flow.lens("capitalized", task)
    lead = lower - upper
    crosses = (lead.max > 0) & (lead.final < 0)
    return (lower.max >= APPEARED) & crosses & (lower.onset < upper.onset)


@pytest.mark.mechanism("okvqa-two-drops", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_two_distinct_drops(flow, task):
    """On OKVQA the image reaches the question in two distinct drops."""
    assert two_distinct_drops(flow, task)


@pytest.mark.mechanism("okvqa-q-last-mid", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_read_mid_depth(flow, task):
    """On OKVQA the question reaches the last position in the middle layers."""
    assert read_mid_depth(flow, task)


@pytest.mark.mechanism("okvqa-order", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_image_before_reading(flow, task):
    """On OKVQA the image reaches the question before that is read."""
    assert image_before_reading(flow, task)


@pytest.mark.mechanism("okvqa-lens-lower-rise", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_lower_case_rises(flow, task):
    """On OKVQA the lower-case answer becomes probable."""
    assert lower_case_rises(flow, task)


@pytest.mark.mechanism("okvqa-lens-lower-mid", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_lower_case_rises_mid_depth(flow, task):
    """On OKVQA the lower-case answer appears around the middle layers."""
    assert lower_case_rises_mid_depth(flow, task)


@pytest.mark.mechanism("okvqa-lens-lower-fall", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_lower_case_falls(flow, task):
    """On OKVQA the lower-case answer is gone at the last layer."""
    assert lower_case_falls(flow, task)


@pytest.mark.mechanism("okvqa-lens-upper-late", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_capitals_come_late(flow, task):
    """On OKVQA the capitalised answer comes late and wins."""
    assert capitals_come_late(flow, task)


@pytest.mark.mechanism("okvqa-lens-order", citation="App. H, Fig. 19")
@pytest.mark.parametrize("task", [OKVQA])
def test_okvqa_capitals_take_over(flow, task):
    """On OKVQA semantic generation is followed by syntactic refinement."""
    assert capitals_take_over(flow, task)


@pytest.mark.mechanism("aokvqa-two-drops", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_two_distinct_drops(flow, task):
    """On A-OKVQA the image reaches the question in two distinct drops."""
    assert two_distinct_drops(flow, task)


@pytest.mark.mechanism("aokvqa-q-last-mid", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_read_mid_depth(flow, task):
    """On A-OKVQA the question reaches the last position in the middle layers."""
    assert read_mid_depth(flow, task)


@pytest.mark.mechanism("aokvqa-order", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_image_before_reading(flow, task):
    """On A-OKVQA the image reaches the question before that is read."""
    assert image_before_reading(flow, task)


@pytest.mark.mechanism("aokvqa-lens-lower-rise", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_lower_case_rises(flow, task):
    """On A-OKVQA the lower-case answer becomes probable."""
    assert lower_case_rises(flow, task)


@pytest.mark.mechanism("aokvqa-lens-lower-mid", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_lower_case_rises_mid_depth(flow, task):
    """On A-OKVQA the lower-case answer appears around the middle layers."""
    assert lower_case_rises_mid_depth(flow, task)


@pytest.mark.mechanism("aokvqa-lens-lower-fall", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_lower_case_falls(flow, task):
    """On A-OKVQA the lower-case answer is gone at the last layer."""
    assert lower_case_falls(flow, task)


@pytest.mark.mechanism("aokvqa-lens-upper-late", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_capitals_come_late(flow, task):
    """On A-OKVQA the capitalised answer comes late and wins."""
    assert capitals_come_late(flow, task)


@pytest.mark.mechanism("aokvqa-lens-order", citation="App. H, Fig. 18")
@pytest.mark.parametrize("task", [A_OKVQA])
def test_aokvqa_capitals_take_over(flow, task):
    """On A-OKVQA semantic generation is followed by syntactic refinement."""
    assert capitals_take_over(flow, task)

"""App. G: a language model that reads captions in the image's place."""

import pytest

from mmflow_bench import MID, NEGLIGIBLE, SIX_TASKS, Gate
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(
    section="App. G, text only",
    citation="App. G, Fig. 17",
    # The paper looks at the correct answers of a language model and names no accuracy.
    minimum_accuracy=0.0,
    unsaid_of=PAPER_MODELS,
)


@pytest.mark.mechanism("uni-q-last-mid")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_last_peaks_mid_depth(flow, task):
    """With captions for the image, the question is read in the middle layers too."""
    flow("caption -> last", task)  # not applicable where an image is shown
    drop = flow("question -> last", task)
    assert drop.is_present & drop.peak_depth.within(*MID)


@pytest.mark.mechanism("uni-cap-last-low", gate=Gate("peak", "caption -> last"))
@pytest.mark.parametrize("task", SIX_TASKS)
def test_captions_reach_the_last_position_in_low_layers(flow, task):
    """Captions reach the last position directly, in the lower layers."""
    drop = flow("caption -> last", task)
    assert (drop.peak <= -NEGLIGIBLE) & (drop.peak_depth < 0.35)


@pytest.mark.mechanism("uni-stages")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_captions_come_before_the_question(flow, task):
    """Captions reach the last position before the question does."""
    caption, question = flow("caption -> last", task), flow("question -> last", task)
    one_layer = 1 / flow.layers
    earlier = question.centre - caption.centre >= one_layer
    assert caption.is_present & question.is_present & earlier

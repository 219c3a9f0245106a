"""Controls: what must be so on any checkpoint, or the instrument is wrong."""

import pytest

from mmflow_bench import SIX_TASKS
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(section="controls", tier="control", unsaid_of=PAPER_MODELS)


@pytest.mark.mechanism("causal-noop", citation="Eqs. 4 and 7")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_image_changes_nothing(flow, task):
    """Cutting the question off the image changes nothing: it is masked already."""
    # The two paths of the engine are tested to agree to 1e-5.
    tolerance = max(3 * flow.noise_floor, 1e-5)
    assert flow("question -> image", task).largest_change <= tolerance


@pytest.mark.mechanism("lens-final-consistency", citation="Eq. 8")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lens_at_the_last_layer_is_the_output(flow, task):
    """The lens at the last layer is the model's output."""
    assert flow.lens_error(task) <= 0.001


@pytest.mark.mechanism("noise-floor", citation="Sec. 4")
def test_no_knockout_changes_nothing(flow):
    """A knockout of no edge changes less than any effect that a verdict rests on."""
    flow.require(*flow.tasks)
    # Verdicts rest on effects of 2% and more, and on none below three times the floor.
    assert flow.noise <= 0.02 / 3

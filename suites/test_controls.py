"""Controls: what must be so on any checkpoint, or the instrument is wrong."""

import pytest

from mmflow_bench import SIX_TASKS


@pytest.mark.mechanism("causal-noop")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_question_to_image_changes_nothing(flow, task):
    # The two paths of the engine are tested to agree to 1e-5.
    tolerance = max(3 * flow.noise_floor, 1e-5)
    assert flow("question -> image", task).largest_change <= tolerance


@pytest.mark.mechanism("lens-final-consistency")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_lens_at_the_last_layer_is_the_output(flow, task):
    assert flow.lens_error(task) <= 0.001


@pytest.mark.mechanism("noise-floor")
def test_no_knockout_changes_nothing(flow):
    flow.require(*flow.tasks)
    # Verdicts rest on effects of 2% and more, and on none below three times the floor.
    assert flow.noise <= 0.02 / 3

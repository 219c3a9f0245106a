"""App. F: image tokens that are gone from the higher layers."""

import pytest

from mmflow_bench import report
from mmflow_bench.mechanisms.bands import INTACT, NEGLIGIBLE
from mmflow_bench.mechanisms.paper import PAPER_MODELS

pytestmark = pytest.mark.mechanism(
    suite="paper",
    section="App. F, removal of image tokens",
    citation="App. F, Fig. 14",
    # The paper says it of LLaVA-v1.6-13B.
    unsaid_of=PAPER_MODELS,
)


@pytest.mark.mechanism("prune-last20-acc")
def test_the_last_half_can_do_without_the_image(flow):
    """Removing the image from the last half of the layers keeps the accuracy intact."""
    removal = flow.removal(*flow.tasks)
    half = removal.layer_at(0.5)
    assert removal.accuracy_lost(half).equivalent_to_zero(INTACT)


@pytest.mark.mechanism("prune-last20-time")
def test_removal_saves_time(flow):
    """Removing the image from the last half of the layers saves time, on the paper's about 40%."""
    assert report(flow.time_saved(*flow.tasks))


@pytest.mark.mechanism("prune-curve")
def test_accuracy_falls_beyond_a_knee(flow):
    """The accuracy is intact down to a knee no later than mid depth, and only falls below it."""
    removal = flow.removal(*flow.tasks)
    assert (removal.knee <= 0.5) & removal.never_recovers(NEGLIGIBLE)

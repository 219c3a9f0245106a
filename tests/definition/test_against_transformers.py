"""The engine beside transformers' own forward pass, whose masks are set layer by layer."""

import knockout_speed
import pytest
from random_sweeps import Geometry, Sweep

SMALL = Geometry(layers=6, patches=6, kv_heads=2)


@pytest.fixture(scope="module")
def sweep():
    return Sweep(SMALL, 64)


@pytest.mark.parametrize("peer", ["batched", "published"])
def test_every_knockout_is_what_a_forward_pass_with_its_mask_says(sweep, peer):
    fast = sweep.fast().softmax(dim=-1)
    run, rows = knockout_speed.PEERS[peer]
    assert len(sweep.knockouts) == len(fast) == 36
    assert knockout_speed.difference(sweep, fast, run, rows) < 1e-5


def test_the_edges_that_are_cut_show(sweep):
    changes = (sweep.fast().log_softmax(dim=-1) - sweep.plain().log_softmax(dim=-1)).abs()
    # What is far below that would agree whatever was cut.
    assert (changes.amax(dim=-1) > 1e-3).float().mean() > 0.8

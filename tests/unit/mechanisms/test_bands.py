"""Bands of depth at the paper's depths, and at others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.interventions.knockout import layer_window, window_width
from mmflow_bench.mechanisms.bands import B1, B2, EVERYWHERE, LATER_HALF, MID


@pytest.mark.parametrize(
    ("layers", "first", "second"),
    [(40, (0, 4), (6, 16)), (32, (0, 3), (5, 13)), (12, (0, 1), (2, 5))],
)
def test_bands_of_the_papers_depths(layers, first, second):
    width = window_width(layers)
    for band, (low, high) in ((B1, first), (B2, second)):
        centres = band.centres(layers, width)
        assert (centres[0], centres[-1]) == (low, high)


@given(layers=st.integers(6, 100), width=st.sampled_from([1, 3, 5, 7, 9]))
def test_the_first_band_is_what_a_transfer_in_layer_0_produces(layers, width):
    hit = tuple(c for c in range(layers) if 0 in layer_window(c, width, layers))
    assert B1.centres(layers, width) == hit
    assert not set(hit) & set(B2.centres(layers, width))


def test_a_band_unpacks_to_its_ends():
    assert tuple(MID) == (0.35, 0.75)
    assert EVERYWHERE.centres(5, 1) == (0, 1, 2, 3, 4)


def test_the_later_half_begins_beyond_the_middle():
    assert LATER_HALF.centres(40, 9)[0] == 21
    assert LATER_HALF.centres(7, 1)[0] == 4

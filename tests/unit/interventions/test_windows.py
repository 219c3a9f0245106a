"""Windows of layers, as in the paper's program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.interventions.knockout import STUDIED_WIDTHS, layer_window, window_width


@given(st.integers(1, 80), st.data())
def test_a_window_covers_half_its_width_on_both_sides_within_the_decoder(layers, data):
    center = data.draw(st.integers(0, layers - 1))
    width = data.draw(st.integers(0, 8)) * 2 + 1
    window = layer_window(center, width, layers)
    expected = [layer for layer in range(layers) if abs(layer - center) <= width // 2]
    assert list(window) == expected


@pytest.mark.parametrize("width", [0, 2, -1])
def test_an_even_or_empty_width_is_refused(width):
    with pytest.raises(ValueError, match="odd and positive"):
        layer_window(0, width, 4)


@pytest.mark.parametrize("center", [-1, 4])
def test_a_centre_outside_the_decoder_is_refused(center):
    with pytest.raises(ValueError, match=r"0\.\.3"):
        layer_window(center, 3, 4)


@given(st.integers(1, 200))
def test_the_automatic_width_is_odd_and_near_nine_fortieths_of_the_depth(layers):
    width = window_width(layers)
    assert width % 2 == 1
    assert abs(width - 9 * layers / 40) <= 1.0


@given(st.integers(1, 200), st.sampled_from(STUDIED_WIDTHS))
def test_every_width_of_the_paper_scales_to_an_odd_one(layers, of_forty):
    width = window_width(layers, of_forty=of_forty)
    assert width % 2 == 1
    assert width >= 1
    assert abs(width - of_forty * layers / 40) <= 1.0
    assert window_width(40, of_forty=of_forty) == of_forty

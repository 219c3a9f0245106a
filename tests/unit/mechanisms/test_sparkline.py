"""Curves as one line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.mechanisms.numbers import sparkline

VALUES = st.lists(st.floats(-1, 1), max_size=60)


@given(VALUES, st.integers(0, 70))
def test_is_never_wider_than_asked(curve, width):
    assert len(sparkline(curve, width)) == min(len(curve), width)


def test_a_sharp_drop_survives_squeezing():
    curve = [0.0] * 40
    curve[17] = -0.8
    assert sparkline(curve, 8).count("▁") == 1


def test_rounding_noise_stays_flat():
    assert len(set(sparkline([1e-7, -1e-7, 2e-8, 0.0], 4))) == 1


def test_a_rise_goes_up_and_gaps_are_blank():
    assert sparkline([0.0, 0.5, float("nan"), 1.0], 4) in {"▁▄ █", "▁▅ █"}

"""Corrections against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from mmflow_bench.statistics.combining import survives

P_VALUES = st.lists(st.floats(0, 1), max_size=30)


@given(P_VALUES)
def test_bh_agrees_with_scipy(p_values):
    expected = list(false_discovery_control(p_values) <= 0.05) if p_values else []
    received = survives(p_values, method="bh", alpha=0.05)
    close = [np.isclose(p, 0.05 * np.arange(1, 31) / max(1, len(p_values))).any() for p in p_values]
    assert any(close) or received == expected


@given(P_VALUES)
def test_holm_rejects_no_more_than_bh_and_no_less_than_bonferroni(p_values):
    holm = survives(p_values, method="holm", alpha=0.05)
    bh = survives(p_values, method="bh", alpha=0.05)
    bonferroni = [p <= 0.05 / len(p_values) for p in p_values]
    assert all(b or not h for h, b in zip(holm, bh, strict=True))
    assert all(h or not b for h, b in zip(holm, bonferroni, strict=True))


def test_an_unknown_correction_is_refused():
    with pytest.raises(ValueError, match="holm or bh, got 'sidak'"):
        survives([0.1], method="sidak", alpha=0.05)

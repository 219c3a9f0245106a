"""Correlations over layers, against scipy and numpy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from mmflow_bench.statistics.association import correlation, trend


def test_trends_are_spearmans_rank_correlation_with_the_layer():
    curves = np.random.default_rng(0).integers(0, 5, (20, 12)).astype(float)
    expected = [spearmanr(curve, np.arange(12)).statistic for curve in curves]
    np.testing.assert_allclose(trend(curves), expected, atol=1e-12)


def test_a_trend_knows_its_direction():
    falling = np.array([[5.0, 4.0, 2.0, 1.0]])
    assert trend(falling) == pytest.approx(-1)
    assert trend(falling[:, ::-1]) == pytest.approx(1)


def test_equal_values_that_rounding_tells_apart_share_their_rank():
    steps = np.repeat([[0.9, 0.3]], 4, axis=1)
    noisy = steps + 1e-15 * np.arange(8)
    assert trend(noisy) == pytest.approx(trend(steps), abs=0)


def test_correlations_are_pearsons():
    one, other = np.random.default_rng(1).standard_normal((2, 20, 12))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(correlation(one, other), expected, atol=1e-8)


def test_flat_curves_and_numbers_that_are_none_have_neither():
    flat, rising = np.zeros((2, 5)), np.tile(np.arange(5.0), (2, 1))
    missing = rising.copy()
    missing[0, 2] = np.nan
    assert np.isnan(trend(flat)).all()
    assert np.isnan(correlation(flat, rising)).all()
    assert np.isnan(trend(missing)).tolist() == [True, False]
    assert np.isnan(correlation(missing, rising)).tolist() == [True, False]

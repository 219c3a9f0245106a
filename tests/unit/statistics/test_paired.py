"""A paired difference against a margin, against what the normal curve says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr

from mmflow_bench.statistics.intervals import Correction
from mmflow_bench.statistics.paired import (
    fewest_alike,
    log_odds_change,
    margin_test,
    samples_needed,
)

DRAWS = np.random.default_rng(0).standard_normal(200_000)


@pytest.mark.parametrize(("value", "margin"), [(0.0, 2.0), (3.5, 2.0), (-3.0, 2.0), (2.0, 2.0)])
def test_both_p_values_are_those_of_a_normal_difference(value, margin):
    test = margin_test(value + DRAWS, Correction(), margin=margin, floor=0.0)
    one_sided = [1 - ndtr((value + margin) / 1.0), 1 - ndtr((margin - value) / 1.0)]
    assert test.p_inside == pytest.approx(max(one_sided), abs=0.005)
    beyond = 2 * min(ndtr(value + margin), ndtr(margin - value))
    assert test.p_beyond == pytest.approx(min(1.0, beyond), abs=0.005)


@pytest.mark.parametrize(
    ("value", "inside", "beyond"), [(0.0, 0.0, 1.0), (0.5, 1.0, 0.0), (-0.5, 1.0, 0.0)]
)
def test_a_difference_without_noise_is_decided(value, inside, beyond):
    test = margin_test(np.full(100, value), Correction(), margin=0.1, floor=0.0)
    assert (test.p_inside, test.p_beyond) == (inside, beyond)


def test_nothing_is_both_inside_and_beyond():
    for value in np.linspace(-5, 5, 41):
        test = margin_test(value + DRAWS[:2000], Correction(), margin=2.0, floor=0.0)
        assert test.p_inside > 0.05 or test.p_beyond > 0.05


def test_log_odds_are_those_of_scipy():
    base = np.array([0.2, 0.9])
    change = np.array([[-0.5, 0.0], [0.05, -0.99]])
    expected = logit(base[:, None] * (1 + change)) - logit(base)[:, None]
    assert log_odds_change(base, change) == pytest.approx(expected)


def test_being_surer_changes_fractions_and_not_log_odds():
    unsure, sure = np.array([0.7]), np.array([0.999])
    changes = [expit(logit(p) - 3)[:, None] / p[:, None] - 1 for p in (unsure, sure)]
    assert changes[1] - changes[0] > 0.5
    odds = [log_odds_change(p, c) for p, c in zip((unsure, sure), changes, strict=True)]
    assert odds[0] == pytest.approx(odds[1])


def test_certainty_is_no_infinity():
    assert np.isfinite(log_odds_change(np.array([1.0]), np.array([[-1.0, 0.0]]))).all()


@pytest.mark.parametrize("difference", [0.0, 0.04, -0.04, 0.3])
def test_as_many_samples_as_are_needed_bring_the_interval_to_one_side_of_the_margin(difference):
    half, n, margin = 0.3, 20, 0.1
    needed = samples_needed(difference, difference - half, difference + half, n, margin)
    narrowed = half * (n / needed) ** 0.5
    if abs(difference) < margin:
        assert abs(difference) + narrowed * 1.645 / 1.96 == pytest.approx(margin, abs=0.002)
    else:
        assert abs(difference) - narrowed == pytest.approx(margin, abs=0.01)


def test_no_number_of_samples_decides_a_difference_that_is_the_margin():
    assert samples_needed(0.1, 0.0, 0.2, 20, 0.1) is None
    assert samples_needed(0.3, None, None, 1, 0.1) is None
    # Without an interval, as many as show that hardly any differs.
    assert samples_needed(0.0, None, None, 1, 0.05) == fewest_alike(0.05, 0.05) == 59

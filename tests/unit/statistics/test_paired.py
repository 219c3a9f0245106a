"""A paired difference against a margin, against what the normal curve says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit, ndtr

from mmflow_bench.statistics.intervals import Correction
from mmflow_bench.statistics.paired import MarginTest, log_odds_change, margin_test
from mmflow_bench.statistics.unseen import Tail

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


@pytest.mark.parametrize("difference", [0.04, -0.04, 0.3])
def test_as_many_images_as_are_needed_decide_what_a_few_leave_open(difference):
    images, alpha, margin, spread = 20, 0.05, 0.1, 1.0

    def asked(count):
        draws = difference + spread * DRAWS / count**0.5
        return margin_test(draws, Correction(), margin=margin, floor=0.0)

    needed = asked(images).needed(images=images, alpha=alpha)
    for count, is_enough in ((0.9 * needed, False), (1.1 * needed, True)):
        test = asked(count)
        # What lies within the margin is shown to, and what lies beyond it too.
        p = test.p_inside if abs(difference) < margin else test.p_beyond
        assert (p <= alpha) == is_enough


def test_no_number_of_images_decides_a_difference_that_is_the_margin():
    test = margin_test(0.1 + DRAWS - DRAWS.mean(), Correction(), margin=0.1, floor=0.0)
    assert test.needed(images=20, alpha=0.05) is None


def test_images_that_are_all_alike_need_as_many_as_leave_less_than_the_margin_unseen():
    alike = MarginTest(inside=Tail(0.0, 0.95**14), beyond=Tail(1.0, 1.0))
    assert alike.needed(images=14, alpha=0.05) == 59

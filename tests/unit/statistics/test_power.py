"""Numbers of images, against the table they come from and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mmflow_bench.statistics.power import (
    chance_of_at_least,
    chance_of_unchanged,
    images_for_changed,
    images_for_unchanged,
    reach,
    smallest_change,
    smallest_margin,
)
from mmflow_bench.statistics.unseen import images_to_show, unseen_share

ASKED = {"alpha": 0.05, "power": 0.8}


@pytest.mark.parametrize(
    ("correlation", "distance", "alone", "of_200", "of_200_at_90"),
    [
        (0.6, 5, 274, 707, 852),
        (0.8, 5, 137, 354, 426),
        (0.9, 5, 69, 177, 213),
        (0.8, 10, 35, 89, 107),
    ],
)
def test_a_change_takes_as_many_images_as_the_table_says(
    correlation, distance, alone, of_200, of_200_at_90
):
    spread = 33 * np.sqrt(2 * (1 - correlation))
    assert images_for_changed(spread, distance, **ASKED) == alone
    assert images_for_changed(spread, distance, **ASKED, tests=200) == of_200
    assert images_for_changed(spread, distance, alpha=0.05, power=0.9, tests=200) == of_200_at_90


def test_a_null_takes_59_images_however_equal_they_are():
    assert images_for_unchanged(0.0, 0.05, **ASKED) == images_to_show(0.05, alpha=0.05) == 59
    assert unseen_share(59, alpha=0.05) <= 0.05 < unseen_share(58, alpha=0.05)


@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1, 0.3])
def test_the_number_of_images_is_the_smallest_with_that_chance(margin):
    n = images_for_unchanged(0.4, margin, **ASKED)
    chances = [chance_of_unchanged(0.4, margin, images, alpha=0.05) for images in (n - 1, n)]
    assert chances[0] < 0.8 <= chances[1]


def test_what_could_be_seen_and_how_many_images_it_takes_are_one_formula():
    n = images_for_changed(0.3, 0.1, **ASKED, tests=12)
    seen = [
        smallest_change(0.3 / images**0.5, 0.1, images, **ASKED, tests=12) for images in (n, n - 1)
    ]
    assert seen[0] <= 0.2 < seen[1]
    n = images_for_unchanged(0.3, 0.1, **ASKED)
    shown = [smallest_margin(0.3 / images**0.5, images, **ASKED) for images in (n, n - 1)]
    assert shown[0] <= 0.1 < shown[1]


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.15, 0.6])
def test_an_image_that_was_not_seen_is_reckoned_with(spread):
    """The weight of one of n + 1 images is beta distributed, as in a Bayesian bootstrap."""
    generator = np.random.default_rng(0)
    error = spread / 60**0.5
    drawn = generator.normal(0, error, 200_000) + generator.beta(1, 60, 200_000)
    assert reach(error, 60, alpha=0.05) == pytest.approx(np.quantile(drawn, 0.95), rel=0.02)


def test_the_chance_of_unchanged_is_that_of_both_one_sided_tests():
    error, margin = 0.3 / np.sqrt(60), 0.15
    drawn = np.random.default_rng(0).normal(0, error, 200_000)
    counted = np.mean(np.abs(drawn) + reach(error, 60, alpha=0.05) <= margin)
    assert chance_of_unchanged(0.3, margin, 60, alpha=0.05) == pytest.approx(counted, abs=0.005)


def test_with_many_images_the_textbook_is_right():
    plain = ((norm.ppf(0.95) + norm.ppf(0.9)) * 2.0 / 0.1) ** 2
    assert images_for_unchanged(2.0, 0.1, **ASKED) == pytest.approx(plain, rel=0.01)


def test_few_images_have_not_seen_what_they_have_not_met():
    assert smallest_change(0.0, 0.1, 14, **ASKED) == unseen_share(14, alpha=0.05)
    assert smallest_margin(0.0, 14, **ASKED) == unseen_share(14, alpha=0.05)
    assert chance_of_unchanged(0.0, 0.05, 58, alpha=0.05) == 0.0
    assert chance_of_unchanged(0.0, 0.05, 59, alpha=0.05) == 1.0
    assert smallest_change(0.0, 0.1, 400, **ASKED) == 0.1


def test_more_rows_and_more_noise_hide_a_larger_change():
    def seen(error: float, tests: int) -> float:
        return smallest_change(error, 0.1, 120, **ASKED, tests=tests)

    assert seen(0.02, 1) < seen(0.02, 30) < seen(0.04, 30)


def test_the_chance_of_several_is_the_less_of_independent_and_of_one_and_the_same():
    assert chance_of_at_least([0.5, 0.5], 2) == 0.25
    assert chance_of_at_least([0.5, 0.5], 1) == 0.5
    assert chance_of_at_least([0.9, 0.2, 0.9], 2) == pytest.approx(0.81 + 0.2 * 2 * 0.9 * 0.1)
    assert chance_of_at_least([0.3], 0) == 1.0

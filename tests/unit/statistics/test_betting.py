"""Bets on samples that are drawn without replacement: exact at the end, valid at any time."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.statistics.betting import (
    Drawn,
    Reading,
    Wager,
    capital,
    combined_wager,
    wager_on,
)

LOOKS = range(4, 64, 6)


def drawn(order: np.ndarray, of: int) -> Drawn:
    return Drawn(order, of, len(order) / of)


def bet(values: np.ndarray, rows: object, of: int, reading: Reading = Reading.LOWEST) -> Wager:
    found = wager_on(values, drawn(np.asarray(rows), of), reading, bounds=(-1.0, 1.0))
    assert found is not None
    return found


def test_nothing_drawn_is_nothing_to_bet_on() -> None:
    assert wager_on(np.zeros((3, 1)), None, Reading.LOWEST, bounds=(-1, 1)) is None


def test_before_the_first_draw_nothing_is_known() -> None:
    before = bet(np.zeros((10, 2)), np.zeros(0, int), 10)
    assert np.isnan(before.value)
    assert (before.above(0.5), before.below(-0.5)) == (1.0, 1.0)
    assert (before.interval(0.05).low, before.interval(0.05).high) == (-1.0, 1.0)


@pytest.mark.parametrize("reading", Reading)
def test_once_all_are_drawn_the_number_is_known_exactly(reading: Reading) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (20, 5))
    mean = values.mean(axis=0)
    truth = mean.min() if reading is Reading.LOWEST else mean.max()
    whole = bet(values, np.random.default_rng(1).permutation(20), 20, reading)
    assert whole.value == pytest.approx(truth)
    assert whole.interval(0.05).low == pytest.approx(truth, abs=1e-4)
    assert whole.interval(0.05).high == pytest.approx(truth, abs=1e-4)
    assert (whole.above(truth + 1e-6), whole.above(truth - 1e-6)) == (0.0, 1.0)


def test_samples_without_a_difference_decide_about_as_soon_as_any_test_could() -> None:
    # Four of eighty may lose everything where the mean is to be within five points of zero. That
    # none of them is among n has this probability, and no test can reject sooner.
    def chance(n: int) -> float:
        return comb(76, n) / comb(80, n)

    soonest = next(n for n in range(80) if chance(n) <= 0.05)
    found = next(
        n for n in range(80) if bet(np.zeros((80, 3)), np.arange(n), 80).below(-0.05) <= 0.05
    )
    assert soonest <= found <= 1.2 * soonest


def test_a_claim_on_all_columns_must_win_against_each_of_them() -> None:
    values = np.zeros((60, 3))
    values[:, 2] = -0.4
    low = bet(values, np.arange(40), 60)
    # Some column is low, and not all of them are high.
    assert low.above(-0.2) < 0.01
    assert low.below(-0.2) == 1.0
    assert bet(values[:, :2], np.arange(40), 60).below(-0.2) < 0.01


def test_what_has_no_value_says_nothing_and_is_counted() -> None:
    values = np.full((10, 1), -0.5)
    half = bet(values, [0, -1, 1, -1, 2, -1, 3, -1], 20)
    assert half.value == -0.5
    assert half.above(-0.1) > bet(values, np.arange(8), 20).above(-0.1)


def test_values_beyond_the_bounds_count_as_the_bounds() -> None:
    assert bet(np.full((4, 1), 7.0), np.arange(4), 8).value == 1.0


def test_rows_of_a_part_of_the_table_are_found_again() -> None:
    order = drawn(np.array([3, -1, 0, 2, 1]), 9)
    assert order.only([0, 3]).rows.tolist() == [1, -1, 0, -1, -1]
    assert order.only([]).rows.tolist() == [-1] * 5


def test_differences_are_paired() -> None:
    generator = np.random.default_rng(3)
    order = drawn(np.arange(30), 60)
    one = generator.uniform(-0.9, -0.1, (60, 1))
    two = one - 0.05
    parts = [wager_on(v, order, Reading.LOWEST, bounds=(-1, 1)) for v in (one, two)]
    apart = combined_wager(parts, (1.0, -1.0))
    assert apart is not None
    assert apart.value == pytest.approx(0.05)
    assert apart.below(0.0) > 0.05  # Bounds of two are wide: so few draws do not show it.
    assert (apart.low, apart.high) == (-2.0, 2.0)
    doubled = combined_wager(parts[:1], (2.0,), shift=1.0)
    assert doubled is not None
    assert doubled.value == pytest.approx(2 * one[:30].mean() + 1)
    assert doubled.interval(0.05).high <= 3.0


def test_what_is_of_other_samples_cannot_be_bet_on_together() -> None:
    one = bet(np.zeros((9, 1)), np.arange(5), 9)
    assert combined_wager([one, None], (1, -1)) is None
    assert combined_wager([one, bet(np.zeros((9, 1)), np.arange(4), 9)], (1, -1)) is None
    assert combined_wager([one, replace(one, of=10)], (1, -1)) is None


def test_too_many_combinations_are_not_bet_on() -> None:
    wide = bet(np.zeros((9, 60)), np.arange(5), 9)
    assert combined_wager([wide, wide], (1.0, 1.0)) is None
    assert combined_wager([wide, wide], (1.0, -1.0)) is not None


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 20))
def test_capital_is_positive_and_never_lost_for_good(gains: list[float], rest: int) -> None:
    grown = capital(np.array(gains)[:, None], of=len(gains) + rest, lowest=-1.0, range_=2.0)
    assert grown.shape == (1,)
    # The most that it has been is never less than what one begins with, or hardly.
    assert grown[0] >= 0
    assert not np.isnan(grown[0])


def misses(population: object, *, runs: int, reading: Reading = Reading.LOWEST) -> float:
    """Share of the orders in which some look has an interval without the truth."""
    generator = np.random.default_rng(11)
    missed = 0
    for _ in range(runs):
        values = population(generator)  # type: ignore[operator]
        mean, order = values.mean(axis=0), generator.permutation(len(values))
        truth = mean.min() if reading is Reading.LOWEST else mean.max()
        missed += any(
            not at.low - 1e-5 <= truth <= at.high + 1e-5
            for n in LOOKS
            for at in [bet(values, order[:n], len(values), reading).interval(0.025)]
        )
    return missed / runs


@pytest.mark.slow
@pytest.mark.parametrize(
    "population",
    [
        lambda g: np.clip(g.normal(-0.3, 0.3, (64, 1)), -1, 1),
        lambda g: -(g.random((64, 1)) < 0.08).astype(float),
        lambda g: np.clip(g.normal(-0.05, 0.2, (64, 4)), -1, 1),
    ],
    ids=["noisy", "sparse", "several layers"],
)
def test_intervals_hold_at_all_looks_together(population: object) -> None:
    # 150 runs at 5 %: more than 16 misses are one in a thousand.
    assert misses(population, runs=150) <= 16 / 150

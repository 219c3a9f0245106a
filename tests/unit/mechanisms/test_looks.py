"""Estimates of samples that are looked at by and by: bets, shared alpha, all known at last."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.measurements.order import END, Order
from mmflow_bench.mechanisms.bands import Band
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.looks import FIRST, drawn_in, looks_of
from mmflow_bench.mechanisms.verdicts import FEW, Verdict
from mmflow_bench.statistics.betting import Drawn

LAYERS, SAMPLES, LOOKS = 12, 40, 4


def change(*, depth: float = -0.5, at: int = 6, noise: float = 0.05) -> np.ndarray:
    values = np.random.default_rng(at).normal(0, noise, (SAMPLES, LAYERS))
    values[:, at] += depth
    return np.clip(values, -1, 1)


def curve(values: np.ndarray, count: int = SAMPLES) -> Curve:
    return Curve(
        name="edge",
        values=values[:count],
        image_ids=tuple(map(str, range(count))),
        width=1,
        alpha=0.05,
        drawn=Drawn(np.arange(count), SAMPLES, count / SAMPLES, LOOKS),
    )


@given(st.integers(1, 6000))
def test_looks_are_at_more_and_more_images_and_at_last_at_all(images: int) -> None:
    looks = looks_of(images)
    counts = [look.images for look in looks]
    assert counts == sorted(set(counts))
    assert counts[-1] == images
    assert counts[0] == min(FIRST, images)
    assert [look.is_last for look in looks] == [False] * (len(looks) - 1) + [True]
    # What may err at the last look too spends no more than alpha over all of them.
    assert sum(look.share for look in looks) <= 1 + 1e-12
    # No look is at more than half as many again, so that few are measured for nothing.
    assert all(later <= 1.5 * earlier for earlier, later in pairwise(counts))


def test_a_deep_drop_is_shown_long_before_all_are_looked_at() -> None:
    values = change()
    assert (curve(values, 24).peak <= -0.1).verdict is Verdict.HOLDS
    assert (curve(values, 8).peak <= -0.1).verdict is Verdict.INCONCLUSIVE
    assert "8 of 40 samples drawn do not tell" in (curve(values, 8).peak <= -0.1).reason


def test_a_decision_by_bets_is_never_taken_back() -> None:
    values, held = change(depth=-0.3, noise=0.2), []
    for count in range(2, SAMPLES + 1, 2):
        verdict = (curve(values, count).peak <= -0.1).p_hold <= 0.05
        held.append(verdict)
    assert held == sorted(held)
    assert held[-1]


def test_once_all_are_looked_at_every_number_is_known() -> None:
    values = change()
    whole, mean = curve(values), values.mean(axis=0)
    for estimate, truth in (
        (whole.peak, mean.min()),
        (whole.band_mean, mean.mean()),
        (whole.peak_depth, 6 / LAYERS),
        (
            whole.peak - curve(change(depth=-0.2)).peak,
            mean.min() - change(depth=-0.2).mean(0).min(),
        ),
    ):
        assert estimate.value == pytest.approx(truth)
        assert (estimate.low, estimate.high) == pytest.approx((truth, truth), abs=1e-4)
    assert whole.centre.low == pytest.approx(whole.centre.high)


def test_a_null_is_shown_against_every_layer_and_refuted_by_one() -> None:
    quiet = change(depth=0.0, noise=0.001)
    assert curve(quiet, 36).equivalent_to_zero(0.05).verdict is Verdict.HOLDS
    assert curve(quiet, 8).equivalent_to_zero(0.05).verdict is Verdict.INCONCLUSIVE
    assert curve(change(), 32).equivalent_to_zero(0.05).verdict is Verdict.FAILS
    # Where the drop is not looked at, there is none.
    elsewhere = curve(change(noise=0.001), 36).at(Band(0.7, 1.0))
    assert elsewhere.equivalent_to_zero(0.05).verdict is Verdict.HOLDS


def test_what_is_no_mean_shares_alpha_among_the_looks() -> None:
    values = change()
    at_once = Curve(
        name="edge", values=values[:20], image_ids=tuple(map(str, range(20))), width=1, alpha=0.05
    )
    by_and_by = curve(values, 20)
    assert by_and_by.peak.shared_by == 1
    assert by_and_by.centre.shared_by == LOOKS
    # Its p-value is multiplied, so that it can be compared with alpha like any other.
    question = (by_and_by.peak_depth.within(0.3, 0.7), at_once.peak_depth.within(0.3, 0.7))
    assert question[0].p_hold >= question[1].p_hold
    assert by_and_by.peak_depth.alpha == 0.05


def test_a_bet_needs_no_word_on_few_images() -> None:
    values = change()
    assert curve(values, 10).peak.caution == ""
    assert curve(values, 10).centre.caution == FEW


def test_curves_of_the_images_of_both_are_drawn_in_the_same_order() -> None:
    values = change()
    later = curve(values, 20).after(curve(change(at=2), 20))
    assert later.drawn is not None
    assert later.drawn.rows.tolist() == list(range(20))


def test_of_two_words_the_difference_is_bet_on_where_both_are_known() -> None:
    rise = np.tile(np.linspace(0, 1, LAYERS + 1), (SAMPLES, 1))

    def lens(values: np.ndarray, kept: list[int]) -> LensCurve:
        place = {i: row for row, i in enumerate(kept)}
        rows = np.array([place.get(i, -1) for i in range(20)])
        names = tuple(str(i) for i in kept)
        return LensCurve(
            name="word",
            values=values[kept],
            question_ids=names,
            image_ids=names,
            alpha=0.05,
            drawn=Drawn(rows, SAMPLES, 0.5, LOOKS),
        )

    both = lens(rise, list(range(20))) - lens(0.5 * rise, list(range(4, 20)))
    assert both.drawn is not None
    assert both.drawn.rows.tolist() == [-1] * 4 + list(range(16))
    assert both.max.wager is not None
    assert both.max.value == pytest.approx(0.5)
    assert (both.max.wager.low, both.max.wager.high) == (-1.0, 1.0)
    assert both.onset.wager is None


def test_samples_of_an_order_are_found_in_a_table() -> None:
    order = Order(
        samples=(("a", "3"), ("b", "1"), ("c", "2")), missing=END, of=5, seen=0.5, looks=2
    )
    drawn = drawn_in(order, ["1", "2"])
    assert drawn.rows.tolist() == [-1, 0, 1]
    assert (drawn.of, drawn.seen, drawn.looks) == (5, 0.5, 2)

"""Estimates by themselves: intervals, arithmetic, and what is not defined."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.mechanisms.estimates import Estimate, combined
from mmflow_bench.mechanisms.evidence import Kind, Known
from mmflow_bench.mechanisms.several import agree, average
from mmflow_bench.statistics.intervals import Correction, Interval
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic

VALUES = st.floats(-1, 1).map(lambda value: round(value, 3))


def estimate(values, *, images=None, **options):
    """The mean of `values`, one of each image unless told."""
    images = images or [f"image{i:03d}" for i in range(len(values))]
    means = ImageMeans(np.asarray(values, float)[:, None], images)
    source = ImageStatistic(means.images, lambda weights: means.curves(weights)[:, 0])
    described = {"name": "drop", "unit": "fraction", "n": len(values), "alpha": 0.05}
    return Estimate(source=source, **(described | options))


def spread(mean, *, n=80, sd=0.1, seed=0):
    values = np.random.default_rng(seed).standard_normal(n)
    return mean + sd * (values - values.mean()) / values.std()


def fixed(values, statistic):
    """An estimate with a statistic of the weights that is given."""
    return replace(estimate(values), source=replace(estimate(values).source, statistic=statistic))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(VALUES, min_size=3, max_size=12),
    st.lists(VALUES, min_size=3, max_size=12),
    st.floats(-3, 3),
)
def test_arithmetic_is_that_of_the_values(left, right, factor):
    one, other = estimate(left), estimate(right)
    assert (one - other).value == pytest.approx(np.mean(left) - np.mean(right))
    assert (one + other).value == pytest.approx(np.mean(left) + np.mean(right))
    assert (factor * one).value == (one * factor).value == pytest.approx(factor * np.mean(left))
    assert (one + factor).value == pytest.approx(np.mean(left) + factor)
    assert (one - factor).value == pytest.approx(np.mean(left) - factor)


def test_arithmetic_is_done_draw_by_draw():
    one, other = estimate(spread(-0.3)), estimate(spread(-0.2, seed=1))
    np.testing.assert_allclose((one - other).replicates, one.replicates - other.replicates)
    np.testing.assert_allclose((one / other).replicates, one.replicates / other.replicates)
    np.testing.assert_allclose(average([one, other]).replicates, (one + other).replicates / 2)


def test_estimates_of_different_images_are_paired_where_they_share_some():
    values = spread(-0.3, n=40)
    names = [f"image{i:03d}" for i in range(40)]
    part = estimate(values[:20], images=names[:20])
    apart = estimate(values[20:], images=names[20:])
    # The whole is the mean of its halves only if each draw reaches all three alike.
    assert ((part + apart) * 0.5).value == pytest.approx(estimate(values).value)
    assert (part - part).high == (part - part).low == 0.0


def test_names_say_what_was_computed():
    one, other = estimate([0.1, 0.2]), estimate([0.3, 0.5], name="rise")
    assert (one - other).name == "drop - rise"
    assert (one + other).name == "drop + rise"
    assert (one / other).name == "drop / rise"
    assert (one - 0.25).name == "drop - 0.25"
    assert (one + 0.25).name == "drop + 0.25"
    assert (0.5 * one).name == "0.5 x drop"
    assert average([one, other]).name == "mean over 2 of drop"
    assert (one / other).unit == "ratio"


def test_the_noise_floor_is_carried_through_arithmetic():
    one, other = estimate([-0.2] * 5, floor=1e-3), estimate([-0.4] * 5, floor=2e-3)
    assert (one - other).floor == (one + other).floor == pytest.approx(3e-3)
    assert (-2.0 * one).floor == pytest.approx(2e-3)
    assert (one / other).floor == pytest.approx((1e-3 + 0.5 * 2e-3) / 0.4)
    assert (one - other).low == pytest.approx(0.2 - 3e-3)


def test_the_kind_that_is_least_smooth_decides_the_interval():
    smooth, centre = estimate(spread(0.1)), estimate(spread(0.2), kind=Kind.CENTRE)
    place = estimate(spread(0.3), kind=Kind.PLACE)
    assert (smooth - centre).kind is Kind.CENTRE
    assert (centre - place).kind is Kind.PLACE
    assert (smooth - smooth).kind is Kind.SMOOTH


def test_a_centre_has_the_percentile_interval():
    skewed = np.random.default_rng(0).exponential(size=30)
    centre = estimate(skewed, kind=Kind.CENTRE)
    wider = Correction(images=30)
    low, high = np.quantile(centre.replicates, [wider.level(0.025), wider.level(0.975)])
    assert (centre.low, centre.high) == pytest.approx((low, high))
    # A skewed sample moves the corrected interval to the side of its tail.
    assert estimate(skewed).high > high


def test_an_estimate_that_most_draws_do_not_have_is_not_known():
    values = spread(-0.3, n=30)

    def seldom(weights):
        kept = np.arange(len(weights)) < 0.9 * len(weights)
        return np.where(kept, (weights * values).mean(axis=1), np.nan)

    seldom_defined = fixed(values, seldom)
    assert math.isnan(seldom_defined.low)
    assert (seldom_defined <= 0.0).verdict == "inconclusive"


def test_an_estimate_that_does_not_exist_fails_whatever_is_asked():
    absent = fixed(spread(0.0), lambda weights: np.full(len(weights), np.nan))
    assert (absent <= 1.0).verdict == (absent >= -1.0).verdict == "fails"
    assert "nan" in repr(absent)


@pytest.mark.parametrize(("images", "caution"), [(29, "few images"), (30, "")])
def test_few_images_are_marked(images, caution):
    few = estimate(spread(-0.3, n=images))
    assert few.caution == caution
    assert (few <= 0.5).qualifier == caution


def test_samples_of_one_image_are_one_image():
    values = spread(-0.3, n=20)
    assert (estimate(values, images=["same"] * 20) <= 1.0).verdict == "inconclusive"
    pairs = estimate(np.repeat(values, 2), images=[f"image{i // 2:03d}" for i in range(40)])
    alone = estimate(values)
    assert pairs.value == pytest.approx(alone.value)
    assert (pairs.low, pairs.high) == pytest.approx((alone.low, alone.high))


def test_a_known_interval_stays_out_of_arithmetic():
    known = Estimate(
        source=Known(0.9, Interval(0.85, 0.95)), name="share", unit="fraction", n=9, alpha=0.05
    )
    assert (known.low, known.high, known.replicates) == (0.85, 0.95, None)
    for compute in (lambda: known - 0.5, lambda: 2 * known, lambda: estimate([0.1]) + known):
        with pytest.raises(TypeError, match="resampled, got a known interval; compare it as it is"):
            compute()


def test_a_comparison_of_two_estimates_is_of_their_difference():
    one, other = estimate(spread(-0.3)), estimate(spread(-0.1, seed=1))
    assert (one < other).verdict == (one <= other).verdict == "holds"
    assert (one > other).verdict == (one >= other).verdict == "fails"
    assert (one < other).estimate.name == "drop - drop"
    assert (one < other).threshold == "< 0%"


def test_estimates_agree_up_to_what_is_allowed_and_the_farthest_pair_is_shown():
    near, far = estimate(spread(0.1), name="near"), estimate(spread(0.4), name="far")
    assert agree([near, near, near], within=0.05).verdict == "holds"
    apart = agree([near, near, far], within=0.05)
    assert apart.verdict == "fails"
    assert "far" in str(apart)
    assert apart.threshold == "-5%..5%"


def test_agreement_of_many_seldom_fails_by_chance():
    generator = np.random.default_rng(0)
    failures = 0
    for _ in range(60):
        equal = [estimate(generator.normal(0.3, 0.2, size=150)) for _ in range(5)]
        failures += agree(equal, within=0.0).verdict == "fails"
    # Ten pairs without a correction would fail about one time in three.
    assert failures <= 6


def test_a_function_of_estimates_keeps_the_smaller_number_of_samples():
    few, many = estimate(spread(0.1, n=20)), estimate(spread(0.2, n=50))
    joint = combined(np.maximum, [few, many], name="larger", unit="fraction")
    assert joint.n == 20
    assert joint.value == pytest.approx(0.2)


def test_a_twin_goes_through_every_operation():
    both = replace(estimate(spread(-0.3)), twin=estimate(spread(-0.1)))
    plain = estimate(spread(0.2, seed=1))
    assert (both - plain).twin.value == pytest.approx(-0.3)
    assert (2 * both).twin.value == pytest.approx(-0.2)
    assert (plain / both).twin.value == pytest.approx(-2.0)
    assert average([both, plain]).twin.value == pytest.approx(0.05)
    assert (plain - plain).twin is None

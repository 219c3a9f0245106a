"""Intervals: equal to scipy's, covering what they should, never NaN."""

import numpy as np
import pytest
from scipy import stats

from mmflow_bench.statistics.intervals import (
    Correction,
    Interval,
    bca_correction,
    confidence_below,
    interval,
)
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic


def clustered(generator, images=40, per_image=(1, 2, 3)):
    """Skewed values, alike within an image; their true mean is -0.3."""
    sizes = generator.choice(per_image, size=images)
    ids = [f"image{i}" for i, size in enumerate(sizes) for _ in range(size)]
    own = np.repeat(generator.exponential(0.2, size=images) - 0.5, sizes)
    return own + 0.1 * generator.standard_normal(len(ids)), ids


def statistic_of(values, ids):
    means = ImageMeans(values[:, None], ids)
    return ImageStatistic(means.images, lambda weights: means.curves(weights)[:, 0])


def bca(statistic, alpha=0.05):
    draws = statistic.replicates()
    correction = bca_correction(statistic.value, draws, statistic.jackknife())
    return interval(draws, correction, alpha=alpha)


def cluster_ratio(sums, counts, axis=-1):
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def sums_and_counts(values, ids):
    order = sorted(set(ids))
    owner = np.array([order.index(image) for image in ids])
    return np.bincount(owner, weights=values), np.bincount(owner).astype(float)


def test_bca_is_scipys_on_the_same_replicates():
    statistic = statistic_of(*(data := clustered(np.random.default_rng(1))))
    sums, counts = sums_and_counts(*data)
    settings = {"paired": True, "vectorized": True, "method": "BCa"}
    first = stats.bootstrap((sums, counts), cluster_ratio, n_resamples=9, **settings)
    first.bootstrap_distribution = statistic.replicates()
    theirs = stats.bootstrap(
        (sums, counts), cluster_ratio, n_resamples=0, bootstrap_result=first, **settings
    ).confidence_interval
    ours = bca(statistic)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_resampling_images_is_scipys_bootstrap_of_cluster_sums_and_counts():
    data = clustered(np.random.default_rng(2))
    theirs = stats.bootstrap(
        sums_and_counts(*data),
        cluster_ratio,
        paired=True,
        vectorized=True,
        method="BCa",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    ours = bca(statistic_of(*data))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.08 * width)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.08 * width)


@pytest.mark.parametrize(("images", "least"), [(24, 0.87), (60, 0.90), (200, 0.915)])
def test_bca_covers_a_skewed_clustered_mean(images, least):
    generator = np.random.default_rng(images)
    covered = []
    for _ in range(300):
        bounds = bca(statistic_of(*clustered(generator, images)))
        covered.append(bounds.low <= -0.3 <= bounds.high)
    assert least <= np.mean(covered) <= 0.99


def test_a_constant_sample_is_a_point_as_wide_as_the_noise_floor():
    statistic = statistic_of(np.full(24, -0.6), [f"image{i}" for i in range(24)])
    bounds = bca(statistic).widened(statistic.value, 1e-6)
    assert bounds.low == pytest.approx(-0.6 - 1e-6, abs=1e-12)
    assert bounds.high == pytest.approx(-0.6 + 1e-6, abs=1e-12)


def test_widening_never_narrows():
    assert Interval(-2.0, 3.0).widened(0.0, 1.0) == Interval(-2.0, 3.0)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_confidence_agrees_with_the_interval(alpha):
    statistic = statistic_of(*clustered(np.random.default_rng(3)))
    draws = statistic.replicates()
    correction = bca_correction(statistic.value, draws, statistic.jackknife())
    bounds = interval(draws, correction, alpha=alpha)
    above = confidence_below(bounds.high, draws, correction, floor=0.0)
    below = confidence_below(bounds.low, draws, correction, floor=0.0)
    assert above == pytest.approx(1 - alpha / 2, abs=0.003)
    assert below == pytest.approx(alpha / 2, abs=0.003)


def test_confidence_far_from_all_replicates_keeps_its_resolution():
    draws = np.random.default_rng(0).standard_normal(2000)
    confident = confidence_below(6.0, draws, Correction(), floor=0.0)
    assert 0 < 1 - confident < 1e-6
    assert confidence_below(1.0, np.zeros(2000), Correction(), floor=0.0) == 1.0

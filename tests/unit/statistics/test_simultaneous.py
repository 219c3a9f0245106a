"""The simultaneous band and the test that a whole curve is zero."""

import numpy as np
import pytest

from mmflow_bench.statistics.resampling import ImageMeans, bootstrap_weights
from mmflow_bench.statistics.simultaneous import deviations, equivalence, sup_t_band

LAYERS = 20


def smooth_noise(generator, samples):
    """Noise that neighbouring layers share."""
    raw = generator.standard_normal((samples, LAYERS + 4))
    return np.stack([raw[:, i : i + LAYERS] for i in range(5)]).sum(axis=0) / 5**0.5


def spread_of(values):
    means = ImageMeans(values, [f"image{i}" for i in range(len(values))])
    draws = means.curves(bootstrap_weights(len(values)))
    return means.mean, deviations(means.mean, draws, images=len(values))


@pytest.mark.parametrize("samples", [24, 100])
def test_the_band_covers_all_layers_at_once(samples):
    generator, truth = np.random.default_rng(samples), np.linspace(-0.5, 0, LAYERS)
    covered = []
    for _ in range(250):
        mean, spread = spread_of(truth + 0.2 * smooth_noise(generator, samples))
        low, high = sup_t_band(mean, spread, level=0.95, floor=0.0)
        covered.append(((low <= truth) & (truth <= high)).all())
    assert 0.91 <= np.mean(covered) <= 0.995


def test_a_curve_at_the_margin_is_hardly_ever_called_zero_or_beyond():
    generator, truth = np.random.default_rng(0), np.zeros(LAYERS)
    truth[7] = -0.05
    tests = []
    for _ in range(200):
        mean, spread = spread_of(truth + 0.05 * smooth_noise(generator, 60))
        tests.append(equivalence(mean, spread, margin=0.05, alpha=0.05, floor=0.0))
    assert np.mean([test.p_inside <= 0.05 for test in tests]) <= 0.07
    assert np.mean([test.p_outside <= 0.05 for test in tests]) <= 0.07


def test_a_noisy_zero_is_called_zero_when_the_sample_is_large_enough():
    for samples, is_zero in ((24, False), (1000, True)):
        values = 0.2 * smooth_noise(np.random.default_rng(0), samples)
        mean, spread = spread_of(values)
        test = equivalence(mean, spread, margin=0.05, alpha=0.05, floor=0.0)
        inside = (test.low >= -0.05).all() and (test.high <= 0.05).all()
        assert inside == is_zero == (test.p_inside <= 0.05)


def test_a_constant_zero_is_zero_and_a_constant_drop_is_not():
    for value, p_inside_is_small in ((0.0, True), (-0.3, False)):
        mean, spread = spread_of(np.full((10, LAYERS), value))
        test = equivalence(mean, spread, margin=0.05, alpha=0.05, floor=1e-6)
        assert np.isfinite(test.low).all()
        assert (test.p_inside < 0.001) == p_inside_is_small
        assert (test.p_outside < 0.001) == (not p_inside_is_small)

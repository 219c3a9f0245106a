"""What is read off curves: places that are hit, drops that are not biased."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.interventions.knockout import layer_window
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics.resampling import ImageMeans

EVERY = np.ones(40, dtype=bool)


def knockout_curve(layers, width, transfers):
    """Drops of transfers {layer: drop} that are cut by every window that holds the layer."""
    return np.array(
        [
            -sum(
                drop for layer, drop in transfers.items() if layer in layer_window(c, width, layers)
            )
            for c in range(layers)
        ]
    )[None, :]


@given(layers=st.integers(12, 60), width=st.sampled_from([1, 3, 5, 9]), share=st.floats(0.25, 0.75))
@settings(max_examples=60, deadline=None)
def test_the_middle_of_the_plateau_is_the_layer_that_transfers(layers, width, share):
    layer = round(share * layers)
    if not width // 2 <= layer < layers - width // 2:
        return
    curve = knockout_curve(layers, width, {layer: 0.3})
    assert read.plateau_midpoint(curve, floor=0.0)[0] == layer


def test_noise_on_a_plateau_does_not_move_its_middle():
    curve = knockout_curve(40, 9, {12: 0.6})
    noisy = curve + 1e-6 * np.random.default_rng(0).standard_normal((50, 40))
    assert (read.plateau_midpoint(noisy, floor=1e-5) == 12).all()


def test_a_curve_without_a_drop_has_no_place():
    flat = 1e-7 * np.random.default_rng(0).standard_normal((3, 40))
    assert np.isnan(read.plateau_midpoint(flat, floor=1e-6)).all()
    assert np.isnan(read.drop_weighted_centre(flat, EVERY, floor=1e-6)).all()
    assert np.isnan(read.onset(flat, floor=1e-6)).all()
    assert np.isnan(read.support(flat, floor=1e-6)[0]).all()


def test_the_centre_weights_layers_by_their_drop():
    curve, kept = np.array([[-1.0, 0.0, 0.5, -3.0]]), np.array([True, True, False, True])
    assert read.drop_weighted_centre(curve, kept, floor=0.0)[0] == pytest.approx(9 / 4)


def test_noise_at_layers_without_a_drop_does_not_move_the_centre():
    noise = 0.03 * np.random.default_rng(0).standard_normal((4000, 40))
    centres = read.drop_weighted_centre(knockout_curve(40, 9, {6: 0.3}) + noise, EVERY, floor=0.0)
    assert centres.mean() == pytest.approx(6, abs=0.1)


def test_a_shown_drop_reaches_as_far_as_it_is_deep_and_noise_is_no_part_of_it():
    mean = -np.array([0.0, 0.02, 0.05, 0.3, 0.05, 0.0, 0.02, 0.0])
    shown = read.shown_drops(mean, np.full(8, 0.02), times=3.0, floor=0.0)
    assert np.flatnonzero(shown).tolist() == [2, 3, 4]
    assert not read.shown_drops(mean, np.full(8, 0.2), times=3.0, floor=0.0).any()


def test_a_cross_fitted_overlap_is_never_too_small_on_average():
    generator = np.random.default_rng(0)
    one, two = knockout_curve(40, 7, {18: 0.3}), knockout_curve(40, 7, {21: 0.2})
    drawn = [
        tuple(curve + 0.02 * generator.standard_normal((4000, 40)) for _ in range(2))
        for curve in (one, two)
    ]
    true = read.overlap(one, two, floor=0.0)[0]
    assert read.overlap(drawn[0][0], drawn[1][0], floor=0.1).mean() < true
    assert read.cross_fitted_overlap(*drawn, (EVERY, EVERY)).mean() > true - 0.01


def test_cross_fitting_takes_the_bias_out_of_a_minimum():
    generator = np.random.default_rng(0)
    naive, fitted = [], []
    for _ in range(300):
        values = 0.3 * generator.standard_normal((60, 40)) - 0.2
        means = ImageMeans(values, [f"image{i}" for i in range(60)])
        naive.append(means.mean.min())
        fitted.append(read.cross_fitted_minimum(*means.halves(np.ones((1, 60))))[0])
    assert np.mean(naive) < -0.26
    assert np.mean(fitted) == pytest.approx(-0.2, abs=0.006)


def test_overlap_is_one_for_proportional_drops_and_zero_for_disjoint_ones():
    one, far = knockout_curve(40, 9, {5: 0.4}), knockout_curve(40, 9, {30: 0.4})
    assert read.overlap(one, 0.5 * one, floor=0.0)[0] == pytest.approx(1.0)
    assert read.overlap(one, far, floor=0.0)[0] == pytest.approx(0.0)


def test_support_reaches_as_far_as_half_of_the_peak():
    curve = np.array([[0.0, -0.1, -0.3, -0.4, -0.2, -0.1]])
    assert [place[0] for place in read.support(curve, floor=0.0)] == [2, 4]


def test_onset_is_where_half_of_the_maximum_is_reached():
    assert read.onset(np.array([[0.0, 0.1, 0.3, 0.6, 0.2]]), floor=0.0)[0] == 2

"""Whole curves that are zero up to a margin."""

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.mechanisms.bands import LATER_HALF
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.verdicts import Inconclusive

LAYERS = 20


def curve(mean, *, n=120, sd=0.05, seed=0, **options):
    """Samples whose mean curve is exactly `mean` (a number, or a number for each layer)."""
    noise = np.random.default_rng(seed).standard_normal((n, LAYERS))
    if n > 1:
        noise -= noise.mean(axis=0)
    described = {"name": "image->last on ChooseAttr", "width": 5, "alpha": 0.05} | options
    return Curve(
        values=np.broadcast_to(mean, (n, LAYERS)) + sd * noise,
        image_ids=tuple(f"image{i}" for i in range(n)),
        **described,
    )


def bump(layer, height):
    return np.where(np.arange(LAYERS) == layer, height, 0.0)


@pytest.mark.parametrize(
    ("mean", "verdict"),
    [
        (0.0, "holds"),
        (0.02, "holds"),
        (bump(7, -0.2), "fails"),
        (bump(7, 0.2), "fails"),  # a rise is a change too
        (bump(7, -0.045), "inconclusive"),
    ],
)
def test_one_layer_beyond_the_margin_is_enough(mean, verdict):
    comparison = curve(mean).equivalent_to_zero(0.05)
    assert comparison.verdict == verdict
    if verdict != "inconclusive":
        assert comparison.p_value <= 0.05
    else:
        with pytest.raises(Inconclusive, match="asked"):
            bool(comparison)


def test_a_lack_of_samples_is_no_evidence_of_absence():
    verdicts = [curve(0.0, n=n, sd=0.1).equivalent_to_zero(0.05).verdict for n in (1, 4, 15, 200)]
    assert verdicts == ["inconclusive", "inconclusive", "inconclusive", "holds"]


def test_the_band_is_wider_than_the_interval_of_a_single_layer():
    noisy = curve(0.0, n=60, sd=0.1)
    estimate = noisy.equivalent_to_zero(0.05).estimate
    single = 1.645 * 0.1 / np.sqrt(60)
    assert estimate.high > 1.5 * single
    assert estimate.low < -1.5 * single


def test_only_the_layers_of_the_band_are_asked():
    early = curve(bump(3, -0.5))
    assert early.equivalent_to_zero(0.05).verdict == "fails"
    assert early.at(LATER_HALF).equivalent_to_zero(0.05).verdict == "holds"
    text = str(early.at(LATER_HALF).equivalent_to_zero(0.05))
    assert text.startswith("extreme of image->last on ChooseAttr (centres 11-19) = ")


def test_the_value_shown_is_the_mean_that_is_farthest_from_zero():
    two = curve(bump(4, 0.03) + bump(9, -0.04), sd=0.001).equivalent_to_zero(0.05)
    assert two.estimate.value == pytest.approx(-0.04)
    assert two.estimate.low < -0.04
    assert two.estimate.high > 0.03
    assert two.threshold == "+-5%"
    assert two.estimate.n == 120


def test_the_band_is_never_narrower_than_the_noise_floor():
    exact = curve(0.0, sd=0.0, noise_floor=0.01, counts_unseen=False)
    assert exact.equivalent_to_zero(0.02).verdict == "holds"
    assert exact.equivalent_to_zero(0.005).verdict == "inconclusive"
    estimate = exact.equivalent_to_zero(0.02).estimate
    assert (estimate.low, estimate.high) == (-0.01, 0.01)


def test_a_smaller_alpha_asks_for_more():
    mean = bump(7, -0.02)
    assert curve(mean).equivalent_to_zero(0.05).verdict == "holds"
    assert curve(mean, alpha=1e-4).equivalent_to_zero(0.05).verdict == "inconclusive"


def test_a_curve_on_the_margin_is_seldom_decided_by_chance():
    held = failed = 0
    for seed in range(150):
        noise = 0.02 * np.random.default_rng(seed).standard_normal((40, LAYERS))
        margin = replace(curve(0.0, n=40), values=bump(10, -0.05) + noise)
        verdict = margin.equivalent_to_zero(0.05).verdict
        held, failed = held + (verdict == "holds"), failed + (verdict == "fails")
    # Each is an error, of at most 5%.
    assert held <= 12
    assert failed <= 12


def test_few_images_are_marked():
    assert curve(0.0, n=29, sd=0.001).equivalent_to_zero(0.05).qualifier == "few images"
    assert curve(0.0, n=30, sd=0.001).equivalent_to_zero(0.05).qualifier == ""


@pytest.mark.parametrize(
    ("n", "verdict"), [(14, "inconclusive"), (58, "inconclusive"), (59, "holds")]
)
def test_a_constant_sample_is_no_certainty(n, verdict):
    """Of n images that agree, up to 1 - alpha^(1/n) may differ: a twentieth at 59."""
    constant = curve(0.0, n=n, sd=0.0)
    assert constant.equivalent_to_zero(0.05).verdict == verdict
    if verdict == "inconclusive":
        with pytest.raises(
            Inconclusive, match=f"needs about 59 images where none differs, has {n}"
        ):
            bool(constant.equivalent_to_zero(0.05))


def test_a_second_opinion_asks_about_the_instrument_alone():
    part = curve(0.0, n=14, sd=0.0, counts_unseen=False)
    assert part.equivalent_to_zero(0.05).verdict == "holds"
    assert (part.peak >= -0.05).verdict == "holds"
    assert (replace(part, counts_unseen=True).peak >= -0.05).verdict == "inconclusive"

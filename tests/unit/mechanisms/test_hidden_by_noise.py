"""What the instrument's noise may hide is neither there nor absent (docs/decisions/074)."""

import numpy as np
import pytest

from mmflow_bench.mechanisms.bands import HIDDEN, hidden_by_noise
from mmflow_bench.mechanisms.curves import Curve

LAYERS = 20
NOISY = 2e-3
"""Three times this hides what is smaller than 0.6%."""


def dip(layer, *, depth, noise_floor, n=60):
    """A drop at one layer in every sample, about as deep in each."""
    sizes = depth * np.random.default_rng(layer).uniform(0.8, 1.2, (n, 1))
    return Curve(
        name=f"drop at {layer}",
        values=-sizes * (np.arange(LAYERS) == layer),
        image_ids=tuple(f"image{i}" for i in range(n)),
        width=1,
        alpha=0.05,
        noise_floor=noise_floor,
        counts_unseen=False,
    )


def claims(depth, noise_floor):
    """On where a drop is, on how far two overlap, and on how alike they are."""
    one, other = (dip(layer, depth=depth, noise_floor=noise_floor) for layer in (4, 12))
    return [
        one.centre <= 0.5,
        one.first_depth <= 0.5,
        one.peak_depth <= 0.5,
        one.centre <= other.centre,
        one.overlap(other) <= 0.35,
        one.correlation(other) <= 0.35,
    ]


@pytest.mark.parametrize(
    ("depth", "noise_floor", "verdict"),
    [
        (0.004, 1e-7, "holds"),
        (0.004, NOISY, "inconclusive"),
        (0.02, NOISY, "holds"),
        # Less than processors differ by is nothing, whatever the noise.
        (5e-5, 1e-7, "fails"),
        (5e-5, NOISY, "fails"),
    ],
)
def test_what_noise_hides_is_left_open_and_what_is_nothing_fails(depth, noise_floor, verdict):
    for claim in claims(depth, noise_floor):
        assert claim.verdict == verdict, claim.estimate
        assert (claim.reason == HIDDEN) == (verdict == "inconclusive")


def test_a_ratio_to_what_noise_hides_is_left_open():
    whole = dip(4, depth=0.5, noise_floor=NOISY).band_mean
    for depth, verdict in ((0.02, "inconclusive"), (5e-4, "fails")):
        part = dip(4, depth=depth, noise_floor=NOISY).band_mean
        # A mean over all layers is a twentieth of what one of them loses.
        assert (whole / part >= 0.0).verdict == verdict


@pytest.mark.parametrize(
    ("effect", "floor", "is_hidden"),
    [(0.004, 0.006, True), (0.007, 0.006, False), (5e-5, 0.006, False), (np.nan, 0.006, False)],
)
def test_an_effect_is_hidden_between_nothing_and_the_noise(effect, floor, is_hidden):
    assert bool(hidden_by_noise(effect, floor)) == is_hidden

"""Intervals cover and verdicts err as often as they say, where the truth is known.

A planted checkpoint has no noise, so its closed-form curve gets some: samples differ in how much
they lose (skewed, images in common), layers in how well they are read. The truth stays closed-form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import attrgetter

import numpy as np
import pytest
from scipy import stats

from mmflow_bench.mechanisms.bands import MID, Band
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.planted import closed_form
from mmflow_bench.statistics import resampling, unseen

pytestmark = pytest.mark.slow

TRUTH = closed_form.relative_change("planted/base", "question->last", width=9, task="ChooseAttr")
ALPHA = 0.05
DRAWS = 600
# A band that lies on the flat part of the curve, so that where the peak is found does not matter.
FLAT = Band(0.45, 0.70)
TRUE_MEAN = float(TRUTH[list(FLAT.centres(40, 9))].mean())


@pytest.fixture(autouse=True, scope="module")
def few_weights() -> Iterator[None]:
    """A quarter of the draws, kept for every number of images: each about n / 1.1 is another."""
    own = (resampling.bootstrap_weights, resampling.unseen_weights)
    with pytest.MonkeyPatch.context() as patch:
        for weights in own:
            weights.cache_clear()
            patch.setattr(resampling, weights.__name__, cache(weights.__wrapped__))
        for module in (resampling, unseen):
            patch.setattr(module, "DRAWS", 500)
        yield
    for weights in own:
        weights.cache_clear()


def noisy(generator: np.random.Generator, n: int, truth: np.ndarray = TRUTH) -> Curve:
    """`n` samples of about n / 1.1 images whose mean curve is `truth` over infinitely many."""
    images = generator.integers(0, max(2, round(n * 5)), n)
    of_image = generator.gamma(4.0, 0.25, images.max() + 1)[images]
    gain = of_image * generator.gamma(4.0, 0.25, n)
    layers = 0.03 * generator.standard_normal((n, len(truth)))
    return Curve(
        name="question->last on ChooseAttr",
        values=gain[:, None] * truth + layers,
        image_ids=tuple(f"image{number}" for number in images),
        width=9,
        alpha=ALPHA,
    )


def within_binomial_error(rate: float, *, at_most: float, draws: int) -> bool:
    """Whether so many errors in so many draws are likely (99.9%) if the rate is `at_most`."""
    return bool(rate * draws <= stats.binom.ppf(0.999, draws, at_most))


@dataclass(frozen=True)
class Drawn:
    """What was found on one noisy curve."""

    mean: tuple[float, float]
    peak: tuple[float, float]
    """Intervals."""
    verdict: Verdict
    """Whether the mean of the band is at most what it truly is."""


@cache
def drawn(n: int) -> tuple[Drawn, ...]:
    """As many noisy curves of `n` samples as rates are counted on, all asked the same."""
    generator, found = np.random.default_rng(n), []
    for _ in range(DRAWS):
        curve = noisy(generator, n).at(FLAT)
        mean, peak = curve.band_mean, curve.peak
        verdict = (mean <= TRUE_MEAN).verdict
        found.append(Drawn((mean.low, mean.high), (peak.low, peak.high), verdict))
    return tuple(found)


@pytest.mark.parametrize("n", [60, 200, 500])
@pytest.mark.parametrize(
    ("bounds", "truth"),
    [(attrgetter("mean"), TRUE_MEAN), (attrgetter("peak"), TRUTH.min())],
    ids=["band mean", "peak"],
)
def test_intervals_cover_at_their_nominal_rate(
    bounds: Callable[[Drawn], tuple[float, float]], truth: float, n: int
) -> None:
    intervals = [bounds(found) for found in drawn(n)]
    missed = sum(not low <= truth <= high for low, high in intervals)
    assert within_binomial_error(missed / DRAWS, at_most=ALPHA, draws=DRAWS), missed / DRAWS
    # Of few images most of the width is for those that were not seen.
    least = {60: 0.0, 200: 0.005, 500: 0.01}[n]
    assert missed / DRAWS >= least, "intervals that never miss are too wide"


@pytest.mark.parametrize("n", [60, 200, 500])
def test_verdicts_on_the_threshold_itself_are_wrong_in_either_way_at_most_at_alpha(n: int) -> None:
    verdicts = [found.verdict for found in drawn(n)]
    for verdict in (Verdict.HOLDS, Verdict.FAILS):
        rate = verdicts.count(verdict) / DRAWS
        assert within_binomial_error(rate, at_most=ALPHA, draws=DRAWS), (verdict, rate)
    assert verdicts.count(Verdict.INCONCLUSIVE) / DRAWS > 0.85


@pytest.mark.parametrize(("distance", "right"), [(0.05, Verdict.HOLDS), (-0.05, Verdict.FAILS)])
def test_verdicts_away_from_the_threshold_are_right_and_become_decided_with_more_samples(
    distance: float, right: Verdict
) -> None:
    threshold = TRUE_MEAN + distance
    wrong = Verdict.FAILS if right is Verdict.HOLDS else Verdict.HOLDS
    decided = []
    for n in (60, 500):
        generator = np.random.default_rng(2000 + n)
        verdicts = [
            (noisy(generator, n).at(FLAT).band_mean <= threshold).verdict for _ in range(300)
        ]
        assert verdicts.count(wrong) / 300 <= 0.01
        decided.append(verdicts.count(right) / 300)
    assert decided[0] < decided[1]
    assert decided[1] > 0.95


@pytest.mark.parametrize("what", ["peak", "peak_depth"])
def test_a_checkpoint_against_itself_raises_no_more_false_alarms_than_alpha(what: str) -> None:
    generator = np.random.default_rng(7)
    redraws, alarms = 200, 0
    for _ in range(redraws):
        one, other = (getattr(noisy(generator, 120), what) for _ in range(2))
        difference = one - other
        alarms += not difference.low <= 0.0 <= difference.high
    assert within_binomial_error(alarms / redraws, at_most=ALPHA, draws=redraws), alarms / redraws


def test_a_flow_that_is_not_there_is_never_found() -> None:
    generator = np.random.default_rng(8)
    found = [(noisy(generator, 60, 0 * TRUTH).peak <= -0.02).verdict for _ in range(300)]
    assert found.count(Verdict.HOLDS) == 0


def test_the_place_of_a_peak_is_right_where_it_is_decided() -> None:
    generator = np.random.default_rng(9)
    verdicts = [noisy(generator, 200).peak_depth.within(*MID).verdict for _ in range(300)]
    assert verdicts.count(Verdict.FAILS) == 0
    assert verdicts.count(Verdict.HOLDS) / 300 > 0.95

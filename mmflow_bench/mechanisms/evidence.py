"""What a verdict on one estimate rests on: draws of images, and what an unseen one may do.

A bound of an interval is the wider of two: that of resampling the images, and that with one unseen
image more (docs/decisions/020). So is a p-value the larger of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.betting import Wager
from mmflow_bench.statistics.combining import as_many
from mmflow_bench.statistics.intervals import (
    Correction,
    Interval,
    bca_correction,
    confidence_below,
    interval,
)
from mmflow_bench.statistics.resampling import ImageStatistic
from mmflow_bench.statistics.unseen import Tail, images_needed, outer, share_beyond

FEWEST_IMAGES = 2
"""One image says nothing about others."""
ONE_IMAGE = "one image says nothing about others"
NO_CORRECTION = Correction()
Draws = Float[ndarray, "draw"]
Unseen = tuple[Float[ndarray, "weighing"], Float[ndarray, "weighing"]]


class Kind(Enum):
    """Which interval suits an estimate; the less regularly it behaves, the later."""

    SMOOTH = "bias-corrected and accelerated bootstrap"
    CENTRE = "percentile bootstrap"
    PLACE = "bootstrap mass by layer"
    """A layer index: the region must hold the mass, whatever shape it has."""


@dataclass(frozen=True, slots=True)
class Known:
    """A number and an interval that come from no resampling."""

    value: float
    interval: Interval
    images: int | None = None
    """Distinct images behind it, where they were counted."""
    counts: tuple[int, int] | None = None
    """Successes and trials of a proportion; None where nothing was sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that a verdict on one estimate rests on."""

    value: float
    interval: Interval | None = None
    """None where the estimate is not defined or cannot have one."""
    undefined: float = 0.0
    """Share of the draws of images on which the estimate does not exist."""
    replicates: Draws = field(default_factory=lambda: np.empty(0))
    correction: Correction = NO_CORRECTION
    unseen: Unseen | None = None
    """The lowest and the highest number with one unseen image more, on every draw."""
    is_place: bool = False
    """The region must hold the mass of the replicates, not the interval."""
    floor: float = 0.0
    images: int = 0
    """Different images; 0 where nothing is resampled."""
    tails: int = 2
    """Sides that share the error rate when images are resampled."""
    counts: tuple[int, int] | None = None
    """Successes and trials, where the estimate is a proportion."""
    wager: Wager | None = None
    """What is bet on where samples are drawn one by one, instead of drawing images again."""
    reason: str = ""
    """Why there is no interval."""

    @property
    def is_known(self) -> bool:
        """Whether the interval is known by itself, without samples that stand for others."""
        return self.counts is None and self.wager is None and not len(self.replicates)

    def above(self, threshold: float) -> Tail:
        """Of the hypothesis that the parameter is at least `threshold`."""
        if self.counts:
            successes, trials = self.counts
            return Tail(2 * as_many(trials - successes, trials, proportion=1 - threshold))
        if self.wager:
            return Tail(self.tails * self.wager.above(threshold - self.floor))
        below = confidence_below(threshold, self.replicates, self.correction, floor=self.floor)
        unseen = share_beyond(self.unseen[1], threshold) if self.unseen else 0.0
        return Tail(self.tails * (1 - below), unseen)

    def below(self, threshold: float) -> Tail:
        """Of the hypothesis that the parameter is at most `threshold`."""
        if self.counts:
            return Tail(2 * as_many(*self.counts, proportion=threshold))
        if self.wager:
            return Tail(self.tails * self.wager.below(threshold + self.floor))
        below = confidence_below(threshold, self.replicates, self.correction, floor=self.floor)
        unseen = share_beyond(-self.unseen[0], -threshold) if self.unseen else 0.0
        return Tail(self.tails * below, unseen)


def evidence_of(
    source: ImageStatistic | Known,
    value: float,
    *,
    kind: Kind,
    alpha: float,
    tails: int,
    floor: float,
    obstacle: str,
    wager: Wager | None = None,
) -> Evidence:
    """What a number gives to rest a verdict on.

    Args:
        source: The number as a function of image weights, or with an interval.
        value: The number.
        kind: Which interval suits it.
        alpha: Error rate of the two-sided interval.
        tails: Sides that share it.
        floor: How exactly the instrument knows the number.
        obstacle: Why nothing can be decided on it; empty where something can.
        wager: What is bet on where samples are drawn one by one.
    """
    if isinstance(source, Known):
        return Evidence(interval=source.interval, value=source.value, counts=source.counts)
    images = len(source.images)
    if images < FEWEST_IMAGES:
        return Evidence(value=value, reason=ONE_IMAGE)
    if obstacle:
        return Evidence(value=value, reason=obstacle)
    if wager is not None:
        bounds_ = wager.interval(alpha / tails)
        around = Interval(bounds_.low - floor, bounds_.high + floor)
        return Evidence(
            value=value, interval=around, wager=wager, floor=floor, images=images, tails=tails
        )
    draws = source.replicates()
    defined = draws[~np.isnan(draws)]
    if not math.isfinite(value):
        return Evidence(value=value, undefined=1 - len(defined) / len(draws))
    # Where more draws have no value than a tail of the interval holds, its bound is made up.
    if len(defined) < (1 - alpha / 2) * len(draws):
        missing = f"not defined in {1 - len(defined) / len(draws):.0%} of the draws of images"
        return Evidence(value=value, reason=missing)
    correction = Correction(images=images)
    # Leaving one image out says nothing of a place or a centre: it jumps, or does not move.
    if kind is Kind.SMOOTH:
        jackknife = source.jackknife()
        correction = bca_correction(value, defined, jackknife, images=images)
    unseen = _worst(source.unseen())
    around = bounds(defined, correction, unseen, alpha=alpha, tails=tails)
    return Evidence(
        interval=around.widened(value, floor),
        value=value,
        replicates=defined,
        correction=correction,
        unseen=unseen,
        is_place=kind is Kind.PLACE,
        floor=floor,
        images=images,
        tails=tails,
    )


def bounds(
    replicates: Draws,
    correction: Correction,
    unseen: Unseen | None,
    *,
    alpha: float,
    tails: int,
) -> Interval:
    """The wider of both intervals.

    A claim is about one side, so an unseen image has the whole of alpha on either.
    """
    own = interval(replicates, correction, alpha=2 * alpha / tails)
    if unseen is None:
        return own
    low, high = outer(*unseen, alpha=alpha)
    return Interval(min(own.low, float(low)), max(own.high, float(high)))


def needed(
    hold: Tail, fail: Tail, *, images: int, alpha: float, tails: int, is_constant: bool
) -> str:
    """How many images the likelier of two decisions takes, in words."""
    likelier = min(hold, fail, key=lambda tail: (tail.p, tail.resampled))
    count = images_needed(
        likelier.resampled, likelier.unseen, images=images, alpha=alpha, tails=tails
    )
    if count is None:
        return f"{images} images do not tell"
    alike = "where none differs" if is_constant else "like these"
    return f"needs about {count} images {alike}, has {images}"


def undecided_by(wager: Wager) -> str:
    """Why nothing is decided by the samples that were drawn."""
    return f"{len(wager.has_value)} of {wager.of} samples drawn do not tell"


def _worst(
    unseen: tuple[Float[ndarray, "draw"], Float[ndarray, "draw"]] | None,
) -> tuple[Float[ndarray, "draw"], Float[ndarray, "draw"]] | None:
    """Where an unseen image leaves the number undefined, it may be anything."""
    if unseen is None:
        return None
    low, high = unseen
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)

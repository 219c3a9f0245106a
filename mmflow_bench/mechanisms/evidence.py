"""What a verdict on one estimate rests on: draws of images, and what an unseen one may do.

A bound of an interval is the wider of two: that of resampling the images, and that with one unseen
image more (docs/decisions/020). So is a p-value the larger of two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.combining import as_many
from mmflow_bench.statistics.intervals import Correction, Interval, confidence_below, interval
from mmflow_bench.statistics.unseen import Tail, images_needed, outer, share_beyond

ONE_IMAGE = "one image says nothing about others"
NO_CORRECTION = Correction()
Draws = Float[ndarray, "draw"]
Unseen = tuple[Float[ndarray, "weighing"], Float[ndarray, "weighing"]]


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
    reason: str = ""
    """Why there is no interval."""

    def above(self, threshold: float) -> Tail:
        """Of the hypothesis that the parameter is at least `threshold`."""
        if self.counts:
            successes, trials = self.counts
            return Tail(2 * as_many(trials - successes, trials, proportion=1 - threshold))
        below = confidence_below(threshold, self.replicates, self.correction, floor=self.floor)
        unseen = share_beyond(self.unseen[1], threshold) if self.unseen else 0.0
        return Tail(self.tails * (1 - below), unseen)

    def below(self, threshold: float) -> Tail:
        """Of the hypothesis that the parameter is at most `threshold`."""
        if self.counts:
            return Tail(2 * as_many(*self.counts, proportion=threshold))
        below = confidence_below(threshold, self.replicates, self.correction, floor=self.floor)
        unseen = share_beyond(-self.unseen[0], -threshold) if self.unseen else 0.0
        return Tail(self.tails * below, unseen)


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

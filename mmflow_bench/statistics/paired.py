"""Two measurements of the same samples: did it move by more than a margin, or by less?

Neither question is the other's negation: a wide interval answers neither. "Less" is equivalence by
two one-sided tests, "more" is a test against the margin and not against zero, so that many samples
do not turn a difference that nobody minds into a change (docs/decisions/015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.betting import Wager
from mmflow_bench.statistics.intervals import Correction, confidence_below
from mmflow_bench.statistics.unseen import Tail, images_needed, share_beyond

SATURATED = 1e-6
"""Probabilities closer than this to 0 or 1 have the log-odds of this: float32 tells no more."""


Draws = Float[ndarray, "draw"]
Unseen = tuple[Float[ndarray, "weighing"], Float[ndarray, "weighing"]]


@dataclass(frozen=True, slots=True)
class MarginTest:
    """A paired difference against +-margin."""

    inside: Tail
    """Of the hypothesis that the difference is as large as the margin: small when it is less."""
    beyond: Tail
    """Of the hypothesis that it is within the margin: small when it is more."""

    @property
    def p_inside(self) -> float:
        """The larger of the p-values by resampling and with an unseen image."""
        return self.inside.p

    @property
    def p_beyond(self) -> float:
        """The larger of both."""
        return self.beyond.p

    def shared_by(self, looks: float) -> MarginTest:
        """The same where so many looks share the error rate."""
        more = [Tail(*(min(1.0, looks * p) for p in one)) for one in (self.inside, self.beyond)]
        return MarginTest(inside=more[0], beyond=more[1])

    def needed(self, *, images: int, alpha: float) -> int | None:
        """About how many images would show that it is less, or else that it is more.

        None where nothing says: the difference is about the margin, or has scattered too much.
        """
        less = images_needed(*self.inside, images=images, alpha=alpha)
        return less or images_needed(*self.beyond, images=images, alpha=alpha, tails=2)


def margin_test(
    replicates: Draws,
    correction: Correction,
    *,
    margin: float,
    floor: float,
    unseen: Unseen | None = None,
    alike: Unseen | None = None,
) -> MarginTest:
    """Both questions, from the bootstrap replicates of a difference.

    `inside` is the larger of two one-sided p-values (equivalence); `beyond` is the smaller of two,
    doubled, since either side would count as a change.

    Args:
        replicates: The difference on draws of images, at least one.
        correction: How they lie to its sampling distribution.
        margin: The largest difference that counts as none, in the difference's unit.
        floor: How exactly replicates are known.
        unseen: The lowest and the highest difference with one unseen image more, that may do
            anything: what speaks against `inside`.
        alike: The same of an image that shows no difference: what speaks against `beyond`.
    """
    above_low = 1 - confidence_below(-margin, replicates, correction, floor=floor)
    below_high = confidence_below(margin, replicates, correction, floor=floor)
    out = in_low = in_high = 0.0
    if unseen is not None:
        out = max(share_beyond(-unseen[0], margin), share_beyond(unseen[1], margin))
    if alike is not None:
        in_low, in_high = share_beyond(alike[1], -margin), share_beyond(-alike[0], -margin)
    beyond = [
        Tail(min(1.0, 2 * resampled), min(1.0, 2 * one))
        for resampled, one in ((above_low, in_low), (below_high, in_high))
    ]
    return MarginTest(
        inside=Tail(max(1 - above_low, 1 - below_high), out),
        beyond=min(beyond, key=lambda tail: tail.p),
    )


def margin_bet(wager: Wager, *, margin: float, floor: float) -> MarginTest:
    """Both questions, from bets on a difference; at any time."""
    inside = max(wager.below(floor - margin), wager.above(margin - floor))
    beyond = 2 * min(wager.above(-margin - floor), wager.below(margin + floor))
    return MarginTest(inside=Tail(inside), beyond=Tail(min(1.0, beyond)))


def log_odds_change(
    base_probability: Float[ndarray, "sample"], relative_change: Float[ndarray, "sample layer"]
) -> Float[ndarray, "sample layer"]:
    """Change of the log-odds of a probability that changes by a fraction of itself.

    A checkpoint that is only surer of its answers drops by a smaller fraction when the same edge is
    cut, because its probability is saturated; its log-odds drop by as much as before.

    >>> change = log_odds_change(np.array([0.5]), np.array([[-0.5]]))
    >>> round(float(change[0, 0]), 4) == round(float(np.log(1 / 3)), 4)
    True
    """
    knocked_out = base_probability[:, None] * (1 + relative_change)
    return np.asarray(_log_odds(knocked_out) - _log_odds(base_probability)[:, None])


def _log_odds(probability: Float[ndarray, "..."]) -> Float[ndarray, "..."]:
    inner = np.clip(probability, SATURATED, 1 - SATURATED)
    return np.asarray(np.log(inner) - np.log1p(-inner))

"""Whether a whole curve is zero up to a margin (docs/decisions/005)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.evidence import ONE_IMAGE, needed, undecided_by
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics.betting import Wager
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.resampling import ImageMeans, bootstrap_weights
from mmflow_bench.statistics.simultaneous import Equivalence, deviations, equivalence
from mmflow_bench.statistics.unseen import Tail, unseen_weights

UNKNOWN = Tail(1.0, 1.0)
NO_INTERVAL = Interval(np.nan, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Null:
    """What is known of a curve that should be zero."""

    extreme: float
    """The mean furthest from zero."""
    verdict: Verdict = Verdict.INCONCLUSIVE
    interval: Interval = NO_INTERVAL
    """What the band spans."""
    hold: Tail = UNKNOWN
    fail: Tail = UNKNOWN
    reason: str = ONE_IMAGE
    """Why it is inconclusive."""


def null_of(
    means: ImageMeans,
    columns: list[int],
    *,
    margin: float,
    alpha: float,
    floor: float,
    unseen: tuple[Float[ndarray, "layer"], Float[ndarray, "layer"]] | None,
) -> Null:
    """The two one-sided tests on the simultaneous band of a mean curve.

    Args:
        means: Curves of samples.
        columns: The layers looked at.
        margin: The largest change that counts as none.
        alpha: Error rate.
        floor: How exactly changes are known.
        unseen: Curves of the worst images that were not seen; None where none is thought of.
    """
    mean, images = means.mean[columns], len(means.images)
    extreme = float(mean[np.abs(mean).argmax()])
    if images < 2:
        return Null(extreme=extreme)
    draws = means.curves(bootstrap_weights(images))[:, columns]
    spread, ends = deviations(mean, draws, images=images), None
    if unseen is not None:
        weights = unseen_weights(images)
        low, high = (means.with_unseen(curve).curves(weights)[:, columns] for curve in unseen)
        ends = low, high
    test = equivalence(mean, spread, margin=margin, alpha=alpha, floor=floor, unseen=ends)
    verdict, reason = _verdict(test, margin), ""
    if verdict is Verdict.INCONCLUSIVE:
        is_constant = float(spread.error.max()) <= floor
        tails = test.inside, test.outside
        reason = needed(*tails, images=images, alpha=alpha, tails=1, is_constant=is_constant)
    return Null(
        extreme=extreme,
        verdict=verdict,
        interval=Interval(float(test.low.min()), float(test.high.max())),
        hold=test.inside,
        fail=test.outside,
        reason=reason,
    )


def null_by_bets(
    lowest: Wager, highest: Wager, *, margin: float, alpha: float, floor: float
) -> Null:
    """The same by bets on the lowest and on the highest mean of the layers looked at.

    That all are within the margin is shown against every layer; that one is beyond it, on either
    side, by the layer that looked so before, at half of alpha.
    """
    ends = lowest.value, highest.value
    extreme = max(ends, key=abs)
    low = lowest.interval(alpha)
    high = highest.interval(alpha)
    interval = Interval(low.low - floor, high.high + floor)
    inside = max(lowest.below(floor - margin), highest.above(margin - floor))
    outside = 2 * min(lowest.above(-margin - floor), highest.below(margin + floor))
    verdict = Verdict.INCONCLUSIVE
    if interval.low >= -margin and interval.high <= margin:
        verdict = Verdict.HOLDS
    elif outside <= alpha:
        verdict = Verdict.FAILS
    return Null(
        extreme=extreme,
        verdict=verdict,
        interval=interval,
        hold=Tail(inside),
        fail=Tail(min(1.0, outside)),
        reason=undecided_by(lowest) if verdict is Verdict.INCONCLUSIVE else "",
    )


def _verdict(test: Equivalence, margin: float) -> Verdict:
    if ((test.high < -margin) | (test.low > margin)).any():
        return Verdict.FAILS
    is_inside = test.low.min() >= -margin and test.high.max() <= margin
    return Verdict.HOLDS if is_inside else Verdict.INCONCLUSIVE

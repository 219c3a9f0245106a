"""Whether a whole curve is zero, up to a margin: the paper's "negligible" and "not observed"."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.estimates import FEWEST_IMAGES, Estimate, Known
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.resampling import ImageMeans, bootstrap_weights
from mmflow_bench.statistics.simultaneous import Equivalence, deviations, equivalence


def whole_curve_equivalence(
    means: ImageMeans, columns: list[int], described: Estimate, *, margin: float
) -> Comparison:
    """Two one-sided tests on the simultaneous band of a curve, as a comparison.

    Holds when the 1 - 2 alpha band lies within +-margin at every layer, fails when it lies beyond
    the margin at some layer (docs/decisions/005). The interval shown is what the band spans.

    Args:
        means: The curve.
        columns: The layers that the claim is about.
        described: Any estimate of the curve: its name, n, alpha, floor and curve are taken over.
        margin: Largest change that counts as none.
    """
    # The largest change is what a reader asks for beside the claim that all are small.
    mean, images = means.mean[columns], len(means.images)
    extreme = float(mean[np.abs(mean).argmax()])
    if images < FEWEST_IMAGES:
        return _comparison(described, Known(extreme, Interval(np.nan, np.nan)), None, margin)
    draws = means.curves(bootstrap_weights(images))[:, columns]
    spread = deviations(mean, draws, images=images)
    test = equivalence(mean, spread, margin=margin, alpha=described.alpha, floor=described.floor)
    known = Known(extreme, Interval(float(test.low.min()), float(test.high.max())))
    return _comparison(described, known, test, margin)


def _comparison(
    described: Estimate, known: Known, test: Equivalence | None, margin: float
) -> Comparison:
    return Comparison(
        verdict=_verdict(test, margin),
        estimate=Estimate(
            source=known,
            name=described.name,
            unit=described.unit,
            n=described.n,
            alpha=described.alpha,
            curve=described.curve,
        ),
        threshold=f"+-{formatted(margin, described.unit)}",
        p_hold=test.p_inside if test else 1.0,
        p_fail=test.p_outside if test else 1.0,
        qualifier=described.caution,
    )


def _verdict(test: Equivalence | None, margin: float) -> Verdict:
    if test is None:
        return Verdict.INCONCLUSIVE
    is_beyond: Float[ndarray, "layer"] = (test.high < -margin) | (test.low > margin)
    if is_beyond.any():
        return Verdict.FAILS
    is_inside = bool((test.low >= -margin).all() and (test.high <= margin).all())
    return Verdict.HOLDS if is_inside else Verdict.INCONCLUSIVE

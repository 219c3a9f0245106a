"""Regions that a mechanism asks an estimate to lie in, and the three-way decision.

One-sided questions are decided by the same two-sided 1 - alpha interval that is reported, so that
table and verdict agree; equivalence to zero alone uses the 1 - 2 alpha interval
(docs/decisions/005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.thresholds import refuse_empty, refuse_unmeant
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics.intervals import Correction, Interval, confidence_below

ROUNDING = 1e-9
NO_CORRECTION = Correction()


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What is asked of an estimate."""

    low: float = -math.inf
    high: float = math.inf
    sign: str
    """How the region is written: `<=`, `<`, `>=`, `>`, `..` or `+-`."""
    least: float | None = None
    """The value itself must be at least this, beside what is asked of the interval."""

    def refuse_unmeant(self, unit: str, *, of: str) -> None:
        """Refuse bounds that no value of a unit can reach, and a region that is empty.

        Raises:
            MechanismError: It is such a region of the estimate `of`.
        """
        least = () if self.least is None else (self.least,)
        refuse_unmeant(self.low, self.high, *least, unit=unit, of=of)
        refuse_empty(self.low, self.high, of=of)

    def text(self, unit: str) -> str:
        """The region in words, short enough for a table."""
        low, high = formatted(self.low, unit), formatted(self.high, unit)
        if self.least is not None:
            return f">= {formatted(self.least, unit)}, {self.sign} {low}"
        if self.sign == "..":
            return f"{low}..{high}"
        if self.sign == "+-":
            return f"+-{high}"
        return f"{self.sign} {high if '<' in self.sign else low}"

    @property
    def ceiling(self) -> float:
        """The region fails when the whole interval is below this."""
        return self.low if self.least is None else self.least


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that a verdict on one estimate rests on."""

    value: float
    interval: Interval | None = None
    """None where the estimate is not defined or cannot have one."""
    undefined: float = 0.0
    """Share of the draws of images on which the estimate does not exist."""
    replicates: Float[ndarray, "draw"] = field(default_factory=lambda: np.empty(0))
    correction: Correction = NO_CORRECTION
    is_place: bool = False
    """The region must hold the mass of the replicates, not the interval."""
    floor: float = 0.0


class Decision(NamedTuple):
    """A verdict, and the p-values of both hypotheses that it chose between."""

    verdict: Verdict
    p_hold: float
    """Of the hypothesis that the estimate does not lie in the region."""
    p_fail: float
    """Of the hypothesis that it does."""


def decide(evidence: Evidence, region: Region, *, alpha: float) -> Decision:
    """The verdict on one estimate by one instrument."""
    if evidence.interval is None:
        return _by_absence(evidence, alpha)
    if evidence.is_place:
        return _by_mass(evidence, region, alpha)
    verdict = _by_interval(evidence.interval, evidence.value, region)
    return Decision(verdict, *_p_values(evidence, region))


def two_instruments(one: Comparison, other: Comparison) -> Comparison:
    """The verdict that two instruments agree on, shown by the one that favours it less."""
    # Opposite decisions are a fact about the instruments; one without the other needs more samples.
    decided = {one.verdict, other.verdict} - {Verdict.INCONCLUSIVE}
    shown = one if one.p_hold >= other.p_hold else other
    verdict, qualifier = one.verdict, "raw and normed lens"
    if len(decided) == 2:
        verdict = Verdict.INSTRUMENT_DEPENDENT
    elif one.verdict is not other.verdict:
        verdict, qualifier = Verdict.INCONCLUSIVE, "one lens decides"
        shown = one if one.verdict is Verdict.INCONCLUSIVE else other
    # Both must be shown to hold, or to fail.
    return replace(
        shown,
        verdict=verdict,
        qualifier=qualifier,
        p_hold=max(one.p_hold, other.p_hold),
        p_fail=max(one.p_fail, other.p_fail),
    )


def _by_interval(bounds: Interval, value: float, region: Region) -> Verdict:
    is_strict = region.sign in {"<", ">"}
    reaches_low = bounds.low > region.low if is_strict else bounds.low >= region.low
    reaches_high = bounds.high < region.high if is_strict else bounds.high <= region.high
    is_large = region.least is None or value >= region.least
    if reaches_low and reaches_high and is_large:
        return Verdict.HOLDS
    if bounds.high < region.ceiling or bounds.low > region.high:
        return Verdict.FAILS
    return Verdict.INCONCLUSIVE


def _by_absence(evidence: Evidence, alpha: float) -> Decision:
    """A curve without a drop has no place: nothing can be said of it, and no claim on it holds."""
    is_absent = evidence.undefined >= 1 - alpha
    verdict = Verdict.FAILS if is_absent else Verdict.INCONCLUSIVE
    return Decision(verdict, 1.0, 1 - evidence.undefined if is_absent else 1.0)


def _by_mass(evidence: Evidence, region: Region, alpha: float) -> Decision:
    # Places are multiples of 1 / layers, whose differences are off by rounding.
    draws, slack = evidence.replicates, -ROUNDING if region.sign in {"<", ">"} else ROUNDING
    mass = float(((draws >= region.low - slack) & (draws <= region.high + slack)).mean())
    verdict = Verdict.INCONCLUSIVE
    if min(mass, 1 - mass) <= alpha:
        verdict = Verdict.HOLDS if 1 - mass <= alpha else Verdict.FAILS
    return Decision(verdict, p_hold=1 - mass, p_fail=mass)


def _p_values(evidence: Evidence, region: Region) -> tuple[float, float]:
    """p-values for holding and for failing; for a known interval, only what it says itself."""
    if not len(evidence.replicates):
        return 1.0, 1.0
    draws, correction, floor = evidence.replicates, evidence.correction, evidence.floor
    below_low = confidence_below(region.low, draws, correction, floor=floor)
    below_high = confidence_below(region.high, draws, correction, floor=floor)
    below_ceiling = confidence_below(region.ceiling, draws, correction, floor=floor)
    # Twice the tail, as for the two-sided interval: verdict and p-value must not contradict.
    p_hold = 2 * max(below_low, 1 - below_high)
    # Whatever is shown with confidence, what is measured is not there.
    if region.least is not None and evidence.value < region.least:
        p_hold = 1.0
    p_fail = 2 * min(1 - below_ceiling, below_high)
    return min(1.0, p_hold), min(1.0, p_fail)

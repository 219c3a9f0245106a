"""Regions that a mechanism asks an estimate to lie in, and the three-way decision.

One-sided questions are decided by the same two-sided 1 - alpha interval that is reported, so that
table and verdict agree; equivalence to zero alone uses the 1 - 2 alpha interval
(docs/decisions/005).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.evidence import Evidence, needed, undecided_by
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.thresholds import refuse_empty, refuse_unmeant
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.unseen import Tail

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What is asked of an estimate."""

    low: float = -math.inf
    high: float = math.inf
    sign: str
    """How the region is written: `<=`, `<`, `>=`, `>`, `..` or `+-`."""
    least: float | None = None
    """The value itself must be at least this, beside what is asked of the interval."""
    most: float | None = None
    """The value itself must be at most this."""

    def refuse_unmeant(self, unit: str, *, of: str) -> None:
        """Refuse bounds that no value of a unit can reach, and a region that is empty.

        Raises:
            MechanismError: It is such a region of the estimate `of`.
        """
        measured = (one for one in (self.least, self.most) if one is not None)
        refuse_unmeant(self.low, self.high, *measured, unit=unit, of=of)
        refuse_empty(self.low, self.high, of=of)

    def text(self, unit: str) -> str:
        """The region in words, short enough for a table."""
        low, high = formatted(self.low, unit), formatted(self.high, unit)
        if self.least is not None:
            return f">= {formatted(self.least, unit)}, {self.sign} {low}"
        if self.most is not None:
            return f"<= {formatted(self.most, unit)}, {self.sign} {high}"
        if self.sign == "..":
            return f"{low}..{high}"
        if self.sign == "+-":
            return f"+-{high}"
        return f"{self.sign} {high if '<' in self.sign else low}"

    @property
    def ceiling(self) -> float:
        """The region fails when the whole interval is below this."""
        return self.low if self.least is None else self.least

    @property
    def roof(self) -> float:
        """And when it is above this."""
        return self.high if self.most is None else self.most

    def admits(self, value: float) -> bool:
        """Whether the value itself is where it must be, whatever is shown with confidence."""
        is_large = self.least is None or value >= self.least
        return is_large and (self.most is None or value <= self.most)


class Decision(NamedTuple):
    """A verdict, and the p-values of both hypotheses that it chose between."""

    verdict: Verdict
    p_hold: float
    """Of the hypothesis that the estimate does not lie in the region."""
    p_fail: float
    """Of the hypothesis that it does."""
    reason: str = ""
    """Why nothing is decided, and how many images it takes."""


def decide(evidence: Evidence, region: Region, *, alpha: float) -> Decision:
    """The verdict on one estimate by one instrument."""
    if evidence.interval is None:
        return _by_absence(evidence, alpha)
    if evidence.is_known:
        return _by_known(evidence.interval, evidence.value, region)
    if evidence.is_place:
        hold, fail = _mass_outside(evidence, region)
        verdict = Verdict.INCONCLUSIVE
        if min(hold.p, fail.p) <= alpha:
            verdict = Verdict.HOLDS if hold.p <= alpha else Verdict.FAILS
    else:
        hold, fail = _tails(evidence, region)
        verdict = _by_interval(evidence.interval, evidence.value, region)
    reason = ""
    if verdict is Verdict.INCONCLUSIVE and evidence.wager:
        reason = undecided_by(evidence.wager)
    elif verdict is Verdict.INCONCLUSIVE and not evidence.counts:
        reason = needed(
            hold,
            fail,
            images=evidence.images,
            alpha=alpha,
            tails=1 if evidence.is_place else evidence.tails,
            is_constant=float(evidence.replicates.std()) <= evidence.floor,
        )
    return Decision(verdict, hold.p, fail.p, reason)


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
    if reaches_low and reaches_high and region.admits(value):
        return Verdict.HOLDS
    if bounds.high < region.ceiling or bounds.low > region.roof:
        return Verdict.FAILS
    return Verdict.INCONCLUSIVE


def _by_absence(evidence: Evidence, alpha: float) -> Decision:
    """A curve without a drop has no place: nothing can be said of it, and no claim on it holds."""
    is_absent = not evidence.reason and evidence.undefined >= 1 - alpha
    verdict = Verdict.FAILS if is_absent else Verdict.INCONCLUSIVE
    p_fail = 1 - evidence.undefined if is_absent else 1.0
    return Decision(verdict, 1.0, p_fail, evidence.reason)


def _by_known(bounds: Interval, value: float, region: Region) -> Decision:
    """What is known by itself is no test, and has no other p-value than what it says."""
    verdict = _by_interval(bounds, value, region)
    return Decision(verdict, float(verdict != Verdict.HOLDS), float(verdict != Verdict.FAILS))


def _mass_outside(evidence: Evidence, region: Region) -> tuple[Tail, Tail]:
    """Shares of the draws that are not in the region, and that are not outside."""
    # Places are multiples of 1 / layers, whose differences are off by rounding.
    slack = -ROUNDING if region.sign in {"<", ">"} else ROUNDING
    low, high = region.low - slack, region.high + slack
    not_in, not_out = [], []
    for draws in (evidence.replicates, *(evidence.unseen or ())):
        # What is not defined is in neither.
        not_in.append(1 - float(((draws >= low) & (draws <= high)).mean()))
        not_out.append(1 - float(((draws < low) | (draws > high)).mean()))
    return tuple(Tail(one[0], max(one[1:], default=0.0)) for one in (not_in, not_out))  # type: ignore[return-value]


def _tails(evidence: Evidence, region: Region) -> tuple[Tail, Tail]:
    """p-values for holding and for failing, that verdict and table agree with."""
    low, high = evidence.below(region.low), evidence.above(region.high)
    hold = Tail(max(low.resampled, high.resampled), max(low.unseen, high.unseen))
    if not region.admits(evidence.value):
        hold = Tail(1.0, 1.0)
    fails = [evidence.above(region.ceiling), evidence.below(region.roof)]
    return hold, min(fails, key=lambda tail: tail.p)

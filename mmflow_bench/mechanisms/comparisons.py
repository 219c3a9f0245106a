"""The answer to "does the estimate lie there?", which is yes, no, or not known.

Asking for its truth value, as `assert` does, gives True or False or raises `Inconclusive`, and
tells the recorder of the running mechanism.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol

from mmflow_bench.mechanisms.verdicts import (
    Inconclusive,
    InstrumentDependent,
    Reported,
    Verdict,
)
from mmflow_bench.statistics.combining import intersection_union


class Shown(Protocol):
    """What reports show of an estimate; estimates know comparisons, so these know no estimate."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def images(self) -> int | None: ...
    @property
    def alpha(self) -> float: ...
    @property
    def curve(self) -> tuple[float, ...] | None: ...
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """A verdict on one estimate, or on several of which the deciding one is shown."""

    verdict: Verdict
    estimate: Shown
    """The estimate, or the one that decided."""
    threshold: str
    """The region in words, e.g. `<= -10%`."""
    p_hold: float
    """p-value of the hypothesis that the mechanism does not hold."""
    p_fail: float
    """p-value of the hypothesis that it holds."""
    qualifier: str = ""
    """What must be said beside the verdict."""
    reason: str = ""
    """Why it is inconclusive, and how many images it takes."""
    parts: tuple[Comparison, ...] = ()
    """The comparisons that this one combines."""
    is_conjunction: bool = False
    """Whether all of `parts` must hold, not only some of them."""
    is_exact: bool = False
    """Whether nothing was sampled, so that nothing is tested either."""

    @property
    def p_value(self) -> float | None:
        """p-value of the hypothesis that the verdict has rejected; None without a test of it."""
        if self.is_exact:
            return None
        decided = {Verdict.HOLDS: self.p_hold, Verdict.FAILS: self.p_fail}
        return decided.get(self.verdict)

    @property
    def tested(self) -> float | None:
        """p-value for a correction over many comparisons; None where nothing was tested.

        Of an undecided comparison, the smaller of both. What is exact, or has no interval, is no
        test: it says 1 of either hypothesis.
        """
        if not self.is_tested:
            return None
        return min(self.p_hold, self.p_fail) if self.p_value is None else self.p_value

    @property
    def is_tested(self) -> bool:
        return min(self.p_hold, self.p_fail) < 1.0

    def __bool__(self) -> bool:
        # Before anything is raised: what ended the test is what its report must show.
        recorder = current_recorder.get()
        if recorder is not None:
            recorder.record(self)
            if recorder.is_watching:
                return True
        if self.verdict is Verdict.INSTRUMENT_DEPENDENT:
            raise InstrumentDependent(str(self))
        if self.verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(str(self))
        if self.verdict is Verdict.REPORT:
            raise Reported(str(self))
        return self.verdict is Verdict.HOLDS

    def __and__(self, other: Comparison) -> Comparison:
        """Both: holds when both do, fails as soon as one does (intersection-union)."""
        return both_or_all([*self._conjuncts, *other._conjuncts])

    def __str__(self) -> str:
        # Of many parts only those that stand in the way are shown, unless none does.
        undecided = [part for part in self.parts if part.verdict is not Verdict.HOLDS]
        shown = undecided or self.parts or (self,)
        return "; ".join(one._said for one in shown)

    def __repr__(self) -> str:
        # What pytest shows of a failed assertion.
        return f"<{self}>"

    @property
    def cautions(self) -> frozenset[str]:
        """What must be said beside the verdict or any part of it."""
        return frozenset({self.qualifier}).union(*(part.cautions for part in self.parts))

    @property
    def _said(self) -> str:
        if self.verdict is Verdict.REPORT:
            return f"{self.estimate!r}: observed, nothing asked"
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.estimate!r}: {self.verdict}, {self.threshold} asked{reason}"

    @property
    def _conjuncts(self) -> tuple[Comparison, ...]:
        return self.parts if self.is_conjunction else (self,)


def both_or_all(parts: Sequence[Comparison]) -> Comparison:
    """The intersection of several comparisons, shown by its least favourable part.

    Each part is tested at the full level, since all must hold (intersection-union). A part that is
    shown not to hold is enough to fail.
    """
    shown = least_favourable(parts)
    tested = [part for part in parts if part.is_tested] or parts
    return replace(
        shown,
        p_hold=intersection_union([part.p_hold for part in tested]),
        p_fail=min(part.p_fail for part in parts),
        parts=tuple(parts),
        is_conjunction=True,
        is_exact=all(part.is_exact for part in parts),
    )


class Recorder:
    """The comparisons that a running mechanism has made, in the order of their decision."""

    is_watching = False
    """Whether a test is run only to see what it asks, so that no comparison may end it."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []

    def record(self, comparison: Comparison) -> None:
        """Keep a comparison; asking the same one twice, as a failing assert does, counts once."""
        if not any(known is comparison for known in self.comparisons):
            self.comparisons.append(comparison)

    @property
    def deciding(self) -> Comparison | None:
        """The comparison that a report should show: the least favourable one, None without any."""
        return least_favourable(self.comparisons) if self.comparisons else None


# A context variable, because `assert` gives a comparison nothing but the question for its truth.
current_recorder: ContextVar[Recorder | None] = ContextVar("current_recorder", default=None)
"""The recorder of the running mechanism; None outside of one."""

# What was only observed comes before what holds: of both together nothing was shown.
_ORDER = (
    Verdict.FAILS,
    Verdict.INSTRUMENT_DEPENDENT,
    Verdict.INCONCLUSIVE,
    Verdict.REPORT,
    Verdict.HOLDS,
)


def least_favourable(comparisons: Sequence[Comparison]) -> Comparison:
    """The one with the worst verdict, and among equals the one that holds least clearly.

    One that has a number comes before one that has none: a drop that is missing says more than the
    place that it cannot have. What holds beyond doubt is equally clear; of such the last is shown,
    since mechanisms name what they presuppose before what they claim.
    """

    def favour(one: Comparison) -> tuple[float, ...]:
        verdict = _ORDER.index(one.verdict)
        return verdict, math.isnan(one.estimate.value), -round(one.p_hold, 3), round(one.p_fail, 3)

    return min(reversed(comparisons), key=favour)

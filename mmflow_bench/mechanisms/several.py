"""Statements about several estimates or comparisons at once.

Suites import these, and listing mechanisms reads the suites: what needs numpy is imported when a
statement is made, not when it is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from mmflow_bench.mechanisms.verdicts import Verdict

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.comparisons import Comparison
    from mmflow_bench.mechanisms.estimates import Estimate


def agree(estimates: Sequence[Estimate], *, within: float) -> Comparison:
    """Whether no two of several estimates differ by more than `within`, paired by image.

    Asked pair by pair: the range of several noisy numbers is larger than that of what they
    estimate, the difference of two is not. All pairs must be shown to be close; that some pair is
    not is tested with Bonferroni's correction.
    """
    pairs = [(one - other).within(-within, within) for one, other in combinations(estimates, 2)]
    # Where one pair is far apart, another of them may be the closer.
    return _some(len(pairs), pairs, is_positive=False)


def all_of(comparisons: Sequence[Comparison]) -> Comparison:
    """All of the comparisons hold: what `&` says of two."""
    from mmflow_bench.mechanisms.comparisons import both_or_all

    return both_or_all(comparisons)


def all_at_once(comparisons: Sequence[Comparison]) -> Comparison:
    """All of the comparisons hold, where so many are asked that one is likely to err.

    That all hold needs no correction, as in `all_of`; that one of them does not is tested with
    Bonferroni's.
    """
    return _some(len(comparisons), comparisons, is_positive=False)


def same_verdict(one: Comparison, other: Comparison) -> Comparison:
    """Whether two comparisons both hold or both fail, as those by two instruments should.

    It fails where one holds and the other does not. Either can come about in two ways, for which
    p-values are doubled.
    """
    p_hold = min(max(one.p_hold, other.p_hold), max(one.p_fail, other.p_fail))
    p_fail = min(max(one.p_hold, other.p_fail), max(one.p_fail, other.p_hold))
    shown = max(one, other, key=lambda part: min(part.p_hold, part.p_fail))
    alpha = shown.estimate.alpha
    verdict = Verdict.INCONCLUSIVE
    if 2 * min(p_hold, p_fail) <= alpha:
        verdict = Verdict.HOLDS if 2 * p_hold <= alpha else Verdict.FAILS
    return replace(
        shown,
        verdict=verdict,
        threshold=f"{shown.threshold} by both or neither",
        p_hold=min(1.0, 2 * p_hold),
        p_fail=min(1.0, 2 * p_fail),
        parts=(),
        is_conjunction=False,
        is_exact=one.is_exact and other.is_exact,
    )


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over tasks, say, paired by image."""
    from mmflow_bench.mechanisms.estimates import combined, mean

    name = f"mean over {len(estimates)} of {estimates[0].name}"
    return combined(mean, estimates, name=name, unit=estimates[0].unit)


def report(estimate: Estimate) -> Comparison:
    """The estimate with its interval as an observation: nothing is asked of it."""
    from mmflow_bench.mechanisms.comparisons import Comparison

    return Comparison(
        verdict=Verdict.REPORT,
        estimate=estimate,
        threshold="no threshold",
        p_hold=1.0,
        p_fail=1.0,
    )


def at_least(required: int, comparisons: Sequence[Comparison]) -> Comparison:
    """At least `required` of the comparisons hold: a partial conjunction (Benjamini-Heller).

    Of claims that speak for each other or not at all, as those on several tasks do (Simes' form).
    Shown by the comparison that is the `required`-th clearest to hold.
    """
    return _some(required, comparisons, is_positive=True)


def _some(required: int, comparisons: Sequence[Comparison], *, is_positive: bool) -> Comparison:
    from mmflow_bench.statistics.combining import partial_conjunction

    count = len(comparisons)
    p_hold = partial_conjunction(
        [one.p_hold for one in comparisons], required, is_positive=is_positive
    )
    p_fail = partial_conjunction(
        [one.p_fail for one in comparisons], count - required + 1, is_positive=is_positive
    )
    ranked = sorted(comparisons, key=lambda one: one.p_hold)
    shown = ranked[required - 1]
    some = f"{required} of {count}" if required < count else ""
    # By p-values alone: verdicts of the parts know nothing of how many parts there are.
    verdict = Verdict.INCONCLUSIVE
    if min(p_hold, p_fail) <= shown.estimate.alpha:
        verdict = Verdict.HOLDS if p_hold <= shown.estimate.alpha else Verdict.FAILS
    return replace(
        shown,
        verdict=verdict,
        p_hold=p_hold,
        p_fail=p_fail,
        qualifier=", ".join(filter(None, [shown.qualifier, some])),
        parts=tuple(ranked),
        is_conjunction=False,
        is_exact=all(one.is_exact for one in comparisons),
    )

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


def never_rises(estimates: Sequence[Estimate], *, within: float) -> Comparison:
    """Whether none of several estimates is above one before it by more than `within`.

    Paired by image, and of any two, so that small rises do not add up: all must be shown, and that
    some pair rises is tested with Bonferroni's correction (docs/decisions/037).
    """
    pairs = [later - earlier <= within for earlier, later in combinations(estimates, 2)]
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


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over tasks, say, paired by image."""
    from mmflow_bench.mechanisms.estimates import combined, mean

    name = f"mean over {len(estimates)} of {estimates[0].name}"
    share = 1 / len(estimates)
    scales = [share for _ in estimates]
    return combined(mean, estimates, name=name, unit=estimates[0].unit, scales=scales)


def report(estimate: Estimate) -> Comparison:
    """The estimate with its interval as an observation: nothing is asked of it."""
    from mmflow_bench.mechanisms.comparisons import Comparison

    return Comparison(
        verdict=Verdict.REPORT,
        estimate=estimate,
        threshold="",
        p_hold=1.0,
        p_fail=1.0,
        qualifier=estimate.caution,
    )


def same_verdict(one: Comparison, other: Comparison) -> Comparison:
    """Whether a claim is decided alike in two readings: both hold, or both fail.

    Not known while either is undecided. Shown by the second reading.
    """
    both = {one.verdict, other.verdict}
    is_decided = both <= {Verdict.HOLDS, Verdict.FAILS}
    verdict = Verdict.HOLDS if len(both) == 1 else Verdict.FAILS
    reason = other.reason or one.reason or "one of the two readings is undecided"
    return replace(
        other,
        verdict=verdict if is_decided else Verdict.INCONCLUSIVE,
        threshold=f"{other.threshold} or not, as {one.estimate.name}",
        # Either both are shown to hold, or both to fail; they differ in one of two ways as well.
        p_hold=min(max(one.p_hold, other.p_hold), max(one.p_fail, other.p_fail)),
        p_fail=min(max(one.p_hold, other.p_fail), max(one.p_fail, other.p_hold)),
        qualifier=other.qualifier or one.qualifier,
        reason="" if is_decided else reason,
        parts=(),
        is_conjunction=False,
        is_exact=one.is_exact and other.is_exact,
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

"""The outcome of a mechanism on a checkpoint, and the exceptions that carry those without a number.

Verdicts are three-way by construction: a mechanism says that a parameter lies in a region; it holds
when the interval lies in the region, fails when the interval lies in the complement, and is
inconclusive otherwise (docs/decisions/007).
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal

Tier = Literal["holds", "replicates", "control"]
"""What kind of statement a mechanism is."""
ASKED_AGAIN: Tier = "holds"
"""Whose verdicts are asked again by other methods, once decided (docs/decisions/010)."""
MINIMUM_ACCURACY = 0.90
"""Share of scored samples that must be answered correctly before a mechanism is looked at."""


class Verdict(StrEnum):
    """What is known of one mechanism on one task of one checkpoint."""

    HOLDS = "holds"
    FAILS = "fails"
    INCONCLUSIVE = "inconclusive"
    """The interval straddles the threshold: more samples may decide."""
    PRECONDITION_FAILED = "precondition-failed"
    """The checkpoint does not answer the questions, so there is no mechanism to speak of."""
    INSTRUMENT_DEPENDENT = "instrument-dependent"
    """Two instruments that should agree decide differently."""
    NOT_APPLICABLE = "not-applicable"
    """The mechanism says nothing about this checkpoint or these samples."""
    REPORT = "report"
    """An observation without a threshold: an estimate with its interval, and no verdict."""


DECIDED = frozenset({Verdict.HOLDS, Verdict.FAILS})
"""What is shown one way or the other."""


FEW = "few images"
"""Beside a verdict that few images have given."""


class Undecided(Exception):
    """An ending of a mechanism that is neither holding nor failing."""

    verdict: ClassVar[Verdict]


class Inconclusive(Undecided):
    """The interval of a comparison lies neither in the region nor in its complement."""

    verdict = Verdict.INCONCLUSIVE


class InstrumentDependent(Inconclusive):
    """Two instruments that should agree decide a comparison differently."""

    verdict = Verdict.INSTRUMENT_DEPENDENT


class Reported(Undecided):
    """An observation was made, of which nothing is asked."""

    verdict = Verdict.REPORT


class PreconditionFailed(Undecided):
    """The checkpoint does not master the task, so that there is no mechanism to speak of."""

    verdict = Verdict.PRECONDITION_FAILED


class NotApplicable(Undecided):
    """A mechanism that says nothing about this checkpoint or these samples, and why."""

    verdict = Verdict.NOT_APPLICABLE


def verdict_of(error: BaseException | None) -> Verdict | None:
    """The verdict that the ending of a mechanism's test stands for.

    None when it is no verdict at all: a crash must never be taken for one.
    """
    if error is None:
        return Verdict.HOLDS
    if isinstance(error, Undecided):
        return error.verdict
    return Verdict.FAILS if isinstance(error, AssertionError) else None

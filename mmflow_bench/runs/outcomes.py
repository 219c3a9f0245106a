"""What becomes of a mechanism's test: one decision from verdict, expectation, baseline and gate.

Verdict, baseline and exit code answer three questions, so that no two of them are the same thing:
a mechanism may fail as its checkpoint is known to, hold and differ from its baseline all the same,
or fail where the gate asks for something else. Here, and nowhere else, they become one outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNDECIDED = frozenset({"inconclusive", "instrument-dependent"})
NO_VERDICT_NEEDED = frozenset({"precondition-failed", "not-applicable"})
OBSERVED = "report"
"""The verdict of an observation: it passes, since nothing is asked of it but to be as stored."""

Word = Literal["passed", "failed", "xfailed", "xpassed", "inconclusive", "skipped"]
ReportOutcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Everything that is known of a test when it has ended."""

    verdict: str
    reason: str = ""
    """Why there is no verdict from numbers."""
    known: str = ""
    """Who says that the mechanism fails here; empty where nobody does."""
    baseline: str = ""
    """`same`, `drift`, `new`, `other-conditions`, or empty."""
    is_refused: bool = False
    """Whether the baseline has ended the test: it differs, or there has to be one and is none."""
    report: ReportOutcome
    """What pytest made of the test by itself."""
    has_raised: bool
    xfail: str | None = None
    """The reason of the user's own xfail mark, where pytest has applied it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the options say of endings."""

    gate: str = "mechanisms"
    inconclusive: str = "report"
    is_updating: bool = False
    """Whether --snapshot-update accepts what has been measured."""

    @property
    def fails_undecided(self) -> bool:
        """Whether an undecided mechanism fails; by itself, not against a baseline."""
        is_asked = self.gate == "mechanisms" and self.inconclusive == "fail"
        return self.gate == "strict" or is_asked

    def asks_for(self, ending: Ending) -> bool:
        """Whether the gate asks for what has failed."""
        has_drifted = self.gate == "regression" and ending.baseline == "drift"
        return self.gate in {"strict", "mechanisms"} or has_drifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What results.json and pytest's report say of a test."""

    word: Word
    """In results.json."""
    report: ReportOutcome
    xfail: str | None = None
    """Reason of an expected failure; pytest counts a report that has one as x or X."""
    text: str | None = None
    """What is shown in place of the traceback; None leaves it."""


def outcome_of(ending: Ending, policy: Policy) -> Outcome:
    """What becomes of a finished call under what the options say."""
    # A baseline that is there and differs decides, whatever the new verdict is.
    if ending.verdict in UNDECIDED | NO_VERDICT_NEEDED and ending.baseline != "drift":
        return _without_decision(ending, policy)
    found = _by_itself(ending)
    if found.report != "failed":
        return found
    if policy.is_updating and ending.verdict == "fails" and ending.baseline == "same":
        return _expected("accepted as the baseline by --snapshot-update")
    if not policy.asks_for(ending):
        # It is shown all the same: in the table, in results.json, and by pytest as xfailed.
        return _expected(f"{ending.verdict}, which --gate={policy.gate} does not ask for")
    return found


def _without_decision(ending: Ending, policy: Policy) -> Outcome:
    """Neither passed nor failed: a skip, also where a failure was expected."""
    text = f"{ending.verdict}: {ending.reason}"
    if ending.verdict in NO_VERDICT_NEEDED:
        return Outcome(word="skipped", report="skipped", text=text)
    if policy.fails_undecided:
        return Outcome(word="failed", report="failed", text=f"{text} (--inconclusive=fail)")
    return Outcome(word="inconclusive", report="skipped", text=text)


def _by_itself(ending: Ending) -> Outcome:
    """The outcome before update and gate are asked."""
    if ending.xfail is not None:
        word: Word = "xfailed" if ending.report == "skipped" else "xpassed"
        return Outcome(word=word, report=ending.report, xfail=ending.xfail)
    if ending.report == "failed" and not ending.has_raised:
        # Only a strict xfail mark of the user makes pytest fail a test that has raised nothing.
        return Outcome(word="xpassed", report="failed")
    if ending.known and not ending.is_refused and ending.verdict != OBSERVED:
        if ending.verdict == "fails":
            return _expected(ending.known)
        # Strict: a mechanism that holds all of a sudden is news, and its record must be changed.
        return Outcome(word="xpassed", report="failed", text=f"[XPASS(strict)] {ending.known}")
    word = "failed" if ending.report == "failed" else "passed"
    return Outcome(word=word, report=ending.report)


def _expected(reason: str) -> Outcome:
    return Outcome(word="xfailed", report="skipped", xfail=reason)

"""The outcome of a mechanism's test, over everything that may come together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from mmflow_bench.runs.outcomes import Ending, Policy, outcome_of

KNOWN = "its record says so"
MARK = "the user's own reason"
VERDICTS = (
    *("holds", "fails", "inconclusive"),
    *("instrument-dependent", "precondition-failed", "not-applicable", "report"),
)
PASSING = {"holds", "report"}
"""Verdicts of tests that raise nothing."""
BASELINES = (
    *(("", False), ("same", False), ("new", False), ("other-conditions", False)),
    *(("new", True), ("drift", True)),
)
"""Each with whether it ends the test: by --baseline-missing=fail, or because it differs."""
GATES = ("strict", "mechanisms", "regression", "none")
RETURNED = (("passed", None), ("passed", MARK), ("failed", None))
"""What pytest makes of a test that raises nothing: as it is, or with an xfail mark of the user."""
RAISED = (("failed", None), ("skipped", MARK))

RULES = """
verdict             known baseline refused mark   gate       undecided update | word         why
-                   -     drift    -       user   -          -         -      | xfailed      mark
-                   -     drift    -       -      none       -         -      | xfailed      gate
-                   -     drift    -       -      -          -         -      | failed       -
precondition-failed -     -        -       -      -          -         -      | skipped      -
not-applicable      -     -        -       -      -          -         -      | skipped      -
undecided           -     -        -       -      strict     -         -      | failed       -
undecided           -     -        -       -      mechanisms fail      -      | failed       -
undecided           -     -        -       -      -          -         -      | inconclusive -
passes              -     -        no      user   -          -         -      | xpassed      mark
-                   -     -        -       user   -          -         -      | xfailed      mark
fails               yes   -        no      -      -          -         -      | xfailed      known
passes              -     -        no      strict asks       -         -      | xpassed      -
passes              -     -        no      strict -          -         -      | xfailed      gate
holds               yes   -        no      -      asks       -         -      | xpassed      -
holds               yes   -        no      -      -          -         -      | xfailed      gate
passes              -     -        no      -      -          -         -      | passed       -
fails               -     same     -       -      -          -         yes    | xfailed      update
-                   -     -        -       -      asks       -         -      | failed       -
-                   -     -        -       -      -          -         -      | xfailed      gate
"""
"""The first line that fits decides; `-` fits everything, `asks` a gate on mechanisms, `passes` what
holds and what is only observed."""

LINES = [line.replace("|", " ").split() for line in RULES.split("\n")[2:-1]]


def cases() -> Iterator[tuple[Ending, Policy]]:
    for verdict, known, (baseline, refused) in product(VERDICTS, ("", KNOWN), BASELINES):
        has_raised = verdict not in PASSING or refused
        for report, xfail in RAISED if has_raised else RETURNED:
            ending = Ending(
                verdict=verdict,
                reason="because",
                known=known,
                baseline=baseline,
                is_refused=refused,
                report=report,
                has_raised=has_raised,
                xfail=xfail,
            )
            for gate, inconclusive, update in product(GATES, ("report", "fail"), (False, True)):
                yield ending, Policy(gate=gate, inconclusive=inconclusive, is_updating=update)


def facts_of(ending: Ending, policy: Policy) -> tuple[set[str], ...]:
    is_undecided = ending.verdict in {"inconclusive", "instrument-dependent"}
    verdict = {"undecided"} if is_undecided else {"passes"} if ending.verdict in PASSING else set()
    is_strict = ending.report == "failed" and not ending.has_raised
    mark = "user" if ending.xfail else "strict" if is_strict else "none"
    return (
        {ending.verdict, *verdict},
        {"yes" if ending.known else "no"},
        {ending.baseline},
        {"yes" if ending.is_refused else "no"},
        {mark},
        {policy.gate, "asks"} if policy.gate in {"strict", "mechanisms"} else {policy.gate},
        {policy.inconclusive},
        {"yes" if policy.is_updating else "no"},
    )


def rule_for(ending: Ending, policy: Policy) -> list[str]:
    facts = facts_of(ending, policy)
    return next(
        line
        for line in LINES
        if all(asked in {"-", *fact} for asked, fact in zip(line[:-2], facts, strict=True))
    )


REASONS = {
    "mark": MARK,
    "known": KNOWN,
    "update": "accepted as the baseline by --snapshot-update",
}


def test_every_case_ends_as_the_table_says() -> None:
    for ending, policy in cases():
        *_, word, why = rule_for(ending, policy)
        outcome = outcome_of(ending, policy)
        gate = f"{ending.verdict}, which --gate={policy.gate} does not ask for"
        reason = {**REASONS, "gate": gate}.get(why)
        assert (outcome.word, outcome.xfail) == (word, reason), (ending, policy)


def test_pytest_counts_what_results_json_says() -> None:
    shown: dict[str, set[tuple[str, bool]]] = {}
    for ending, policy in cases():
        outcome = outcome_of(ending, policy)
        shown.setdefault(outcome.word, set()).add((outcome.report, outcome.xfail is not None))
    assert shown == {
        "passed": {("passed", False)},
        "failed": {("failed", False)},
        "xfailed": {("skipped", True)},
        # By the user's own mark, and strictly.
        "xpassed": {("passed", True), ("failed", False)},
        "inconclusive": {("skipped", False)},
        "skipped": {("skipped", False)},
    }


def ending(verdict: str, **more: str) -> Ending:
    is_held = verdict == "holds"
    report = "passed" if is_held else "failed"
    return Ending(verdict=verdict, report=report, has_raised=not is_held, reason="because", **more)


@pytest.mark.parametrize(
    ("given", "policy", "text"),
    [
        (ending("holds"), Policy(), None),
        (ending("fails"), Policy(), None),
        (ending("fails", known=KNOWN), Policy(), None),
        (ending("holds", known=KNOWN), Policy(), f"[XPASS(strict)] {KNOWN}"),
        (ending("not-applicable"), Policy(), "not-applicable: because"),
        (ending("inconclusive"), Policy(), "inconclusive: because"),
        (
            ending("inconclusive"),
            Policy(inconclusive="fail"),
            "inconclusive: because (--inconclusive=fail)",
        ),
    ],
)
def test_the_traceback_is_replaced_where_it_says_nothing(
    given: Ending, policy: Policy, text: str | None
) -> None:
    assert outcome_of(given, policy).text == text


def test_every_rule_is_needed() -> None:
    used = {tuple(rule_for(*case)) for case in cases()}
    assert used == {tuple(line) for line in LINES}

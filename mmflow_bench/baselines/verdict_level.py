"""A comparison of verdicts alone, where a baseline has no values of samples.

That a mechanism held and now is shown not to hold is a change; that both hold says only that
neither run shows otherwise. No interval, no tolerance and no correction: those need samples.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmflow_bench.baselines.gate_ground import baseless
from mmflow_bench.baselines.paired_experiment import NotComparable
from mmflow_bench.baselines.paired_records import BaselineComparison, Change, ComparedRow
from mmflow_bench.baselines.paired_values import Key, RunValues

_SHOWN = frozenset({"holds", "fails"})
_ABSENT = frozenset({"", "not-applicable", "report"})
"""Of which there is no verdict to compare."""


def compare_verdicts(
    base: str, expected: Mapping[Key, str], run: RunValues, *, alpha: float, source: str
) -> BaselineComparison:
    """What a run says of every mechanism that a baseline has a verdict on.

    In `expected`, verdicts by mechanism and task, `all` stands for every task of the run.

    Raises:
        NotComparable: The run has not followed the checkpoint's own answers, which verdicts are on.
    """
    if run.follow != "answer":
        raise NotComparable(base, run.name, [f"verdicts on other answers: --follow={run.follow}"])
    verdicts = run.verdicts
    rows = [
        _row(name, task, was, verdicts.get((name, task), ""))
        for (name, asked), was in expected.items()
        for task in _tasks(verdicts, name, asked)
    ]
    compared = tuple(row for row in rows if row.now not in _ABSENT and row.was not in _ABSENT)
    return BaselineComparison(
        base=base,
        name=run.name,
        kind="verdicts",
        alpha=alpha,
        tolerance={},
        rows=compared,
        baseless=tuple(baseless(None, run, compared, ())),
        notes=("verdicts only: the baseline has no values of samples to pair with",),
        source=source,
    )


def _tasks(verdicts: Mapping[Key, str], name: str, asked: str) -> list[str]:
    if asked != "all" or (name, "all") in verdicts:
        return [asked]
    return [task for known, task in verdicts if known == name]


def _row(name: str, task: str, was: str, now: str) -> ComparedRow:
    verdict, reason = Change.UNDECIDED, f"{was} before, {now} now"
    if now == "precondition-failed":
        verdict = Change.NOT_COMPARABLE
    elif was in _SHOWN and now in _SHOWN:
        verdict, reason = (Change.UNCHANGED, "") if was == now else (Change.CHANGED, reason)
    elif was == now:
        reason = f"{now} in both"
    return ComparedRow(
        id=name, task=task, verdict=verdict, reading="verdict", was=was, now=now, reason=reason
    )

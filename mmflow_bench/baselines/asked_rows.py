"""Which rows of the gate set a comparison has, and why some of them have no numbers.

A row that could not be measured is listed with its reason: what is left out of a table looks like
what has not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmflow_bench.baselines.gate_ground import ACCURACY, BASELINE, CHECKPOINT, below
from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_records import ComparedRow
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.baselines.row_values import has_values
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.runs.rows import ALL

_NOBODY_ASKED = frozenset({"", Verdict.NOT_APPLICABLE})
"""Verdicts of a mechanism that was not looked at, or says nothing of these samples."""


def tasks_of(base: RunValues, tuned: RunValues) -> list[str]:
    """All tasks that one of the runs has looked at."""
    found = {*base.answers, *tuned.answers, *(t for t, _ in [*base.sweeps, *tuned.sweeps])}
    found |= {task for _, task in [*base.verdicts, *tuned.verdicts]}
    return sorted(found - {ALL})


def is_asked(base: RunValues, tuned: RunValues, row: GateRow, task: str) -> bool:
    """Whether a row is compared, or has to be listed where it could not be.

    What both have measured for other mechanisms is compared although nobody has asked for it. What
    was deselected, and what does not apply to the samples of either, is no row.
    """
    measured = [has_values(run, row, task) for run in (base, tuned)]
    if all(measured) or not tuned.selects(row.id, task):
        return all(measured)
    is_of_all = row.reading == ACCURACY and (task in base.counts or task in tuned.counts)
    known = [task, ALL] if is_of_all else [task]
    said = {run.verdicts.get((row.id, name), "") for run in (base, tuned) for name in known}
    return any(measured) or bool(said - _NOBODY_ASKED)


def unmeasured(
    row: ComparedRow, base: RunValues, tuned: RunValues, measured: Sequence[bool]
) -> ComparedRow:
    """A row that one side has no numbers of, or neither, with the reason.

    Args:
        row: Without numbers.
        base: The baseline.
        tuned: The checkpoint.
        measured: Whether each of the two has the numbers.
    """
    runs = {BASELINE: base, CHECKPOINT: tuned}
    without = [name for name, is_there in zip(runs, measured, strict=True) if not is_there]
    why = {name: below(runs[name], row.task) for name in without}
    if any(why.values()):
        said = "; ".join(f"the {name} is {reason}" for name, reason in why.items() if reason)
        return replace(row, reason=said)
    if len(without) == 1:
        return replace(row, reason=f"not measured in the {without[0]}", missing_in=without[0])
    reasons = dict.fromkeys(run.reasons.get((row.id, row.task), "") for run in runs.values())
    said = "; ".join(filter(None, reasons))
    return replace(row, reason=f"not measured in either{f': {said}' if said else ''}")

"""The row of a mechanism's test: its verdict, what the test declares, the numbers that decided."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mmflow_bench.mechanisms.comparisons import Recorder
from mmflow_bench.mechanisms.verdicts import verdict_of
from mmflow_bench.plugin.expecting import EXPECTED
from mmflow_bench.plugin.models import ALL_TASKS, model_of, task_of
from mmflow_bench.plugin.run import declaration_of
from mmflow_bench.runs.rows import MechanismRow

RECORDER = pytest.StashKey[Recorder]()
"""The comparisons that a test has made."""
ROW = pytest.StashKey[MechanismRow]()
"""The row of a test whose call has ended."""

_SHOWN = (
    *("model", "task", "verdict", "outcome", "expected", "estimate", "low", "high"),
    *("unit", "threshold", "n", "tier", "qualifier", "baseline"),
)


def row_of(item: pytest.Item, error: BaseException | None) -> MechanismRow | None:
    """The row of a test of `flow` that ended with `error`, outcome still open.

    None for a test of something else, and for an ending that is no verdict (a crash, a skip).
    """
    model = model_of(item)
    verdict = verdict_of(error)
    if model is None or verdict is None:
        return None
    declared = declaration_of(item)
    expectation = item.stash.get(EXPECTED, None)
    row = MechanismRow(
        model=model,
        test=str(item.nodeid),
        id=declared.id,
        task=task_of(item) or ALL_TASKS,
        verdict=str(verdict),
        outcome="passed",
        expected=expectation.verdict if expectation else "holds",
        reason="" if error is None or verdict == "fails" else str(error),
        section=declared.section,
        statement=declared.statement,
        tier=declared.tier,
        citation=declared.citation,
    )
    return _with_numbers(row, item.stash.get(RECORDER, None))


def properties(row: MechanismRow, run_id: str) -> list[tuple[str, object]]:
    """What JUnit shows beside a test; plain Python values, for xdist cannot carry numpy's."""
    values = row.as_dict()
    kept = [(f"mmflow.{name}", values[name]) for name in _SHOWN if values[name] not in (None, "")]
    return [("mmflow.run_id", run_id), ("mmflow.mechanism", row.id), *kept]


def _with_numbers(row: MechanismRow, recorder: Recorder | None) -> MechanismRow:
    """The numbers that decided, of the least favourable comparison that the test has made."""
    deciding = recorder.deciding if recorder is not None else None
    if deciding is None:
        return row
    estimate = deciding.estimate
    return replace(
        row,
        name=estimate.name,
        estimate=_plain(estimate.value),
        low=_plain(estimate.low),
        high=_plain(estimate.high),
        unit=estimate.unit,
        n=int(estimate.n),
        threshold=deciding.threshold,
        curve=tuple(round(float(value), 6) for value in estimate.curve or ()),
        qualifier=deciding.qualifier,
        p_value=_plain(deciding.p_value),
    )


def _plain(value: float | None) -> float | None:
    """Python's own number, or None for one that JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None

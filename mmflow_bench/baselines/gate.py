"""What a comparison means for the exit code: one decision, printed and returned alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmflow_bench.baselines.paired_records import (
    BaselineComparison,
    Change,
    ComparedRow,
    tasks_by_mechanism,
)
from mmflow_bench.baselines.tolerances import DECIDED
from mmflow_bench.runs.reading import kept_record, validated
from mmflow_bench.runs.rows import grouped

GATE = "gate.json"
"""What the gate decided, in the run folder; absent where none was asked for."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a gate lets a checkpoint pass, and every reason why not."""

    passed: bool
    why: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        return "passed" if self.passed else f"failed: {'; '.join(self.why)}"

    def as_json(self, policy: str) -> str:
        said = {"gate": policy, "passed": self.passed, "why": self.why}
        return json.dumps(said, indent=1) + "\n"


def gate_decision(
    comparison: BaselineComparison,
    *,
    decided: float = DECIDED,
    fail_undecided: bool = False,
    fail_not_comparable: bool = False,
) -> GateDecision:
    """Whether a checkpoint may pass as unchanged.

    Nothing passes on nothing: what stands on no ground fails whatever the policy, and so does a
    comparison that has decided too little.

    Args:
        comparison: Of the checkpoint and its baseline.
        decided: Share of the comparable rows that must be unchanged, from 0 to 1.
        fail_undecided: Whether a single undecided row fails.
        fail_not_comparable: Whether a row that cannot be compared fails.
    """
    why = ground_lost(comparison)
    if comparison.refused:
        return GateDecision(False, tuple(why))
    if comparison.changed:
        why.append(f"changed: {named(comparison, Change.CHANGED)}")
    comparable, undecided = comparison.comparable, comparison.of(Change.UNDECIDED)
    if not comparable and not why:
        why.append(f"nothing was compared ({comparison.counted or 'no row in common'})")
    if fail_undecided and undecided:
        why.append(f"undecided: {named(comparison, Change.UNDECIDED)}{_enough(undecided)}")
    elif undecided and not comparison.changed:
        unchanged = len(comparison.of(Change.UNCHANGED))
        # A share such as 0.7 is a little more in binary than the rows that it stands for.
        if unchanged < decided * len(comparable) - 1e-9:
            why.append(
                f"undecided: {len(undecided)} of {len(comparable)} comparable rows, "
                f"{decided:.0%} must be unchanged (--decided){_enough(undecided)}"
            )
    if fail_not_comparable and comparison.of(Change.NOT_COMPARABLE):
        why.append(f"not comparable: {named(comparison, Change.NOT_COMPARABLE)}")
    return GateDecision(not why, tuple(why))


def ground_lost(comparison: BaselineComparison) -> list[str]:
    """Why a comparison lets nothing pass, whatever its rows say: under every gate but `none`."""
    if comparison.refused:
        return [f"not comparable: {'; '.join(comparison.refused)}"]
    return [*comparison.lost, *comparison.baseless]


def kept_gate(folder: Path) -> GateDecision | None:
    """What a run's gate has decided; None where none was asked for.

    Raises:
        StoreError: The file is damaged.
    """
    return kept_record(folder / GATE, partial(validated, GateDecision))


def named(comparison: BaselineComparison, verdict: str) -> str:
    found = tasks_by_mechanism(comparison.of(verdict))
    return ", ".join(f"{name} ({', '.join(tasks)})" for name, tasks in found.items())


def _enough(rows: Sequence[ComparedRow]) -> str:
    """How many images a task would decide some rows, by mechanism."""
    needed = {
        name: max(row.needed or 0 for row in members)
        for name, members in grouped(rows, lambda row: row.id).items()
    }
    known = {name: count for name, count in needed.items() if count}
    if not known:
        return ""
    each = ", ".join(
        f"{name} ({count})" for name, count in sorted(known.items(), key=lambda one: -one[1])
    )
    return f"; needs about {max(known.values())} images a task: {each}"

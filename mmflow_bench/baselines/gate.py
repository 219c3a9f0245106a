"""What a comparison means for the exit code: one decision, printed and returned alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.baselines.paired_records import BaselineComparison, Change, tasks_by_mechanism

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
    fail_undecided: bool = False,
    fail_not_comparable: bool = False,
) -> GateDecision:
    """Whether a checkpoint may pass as unchanged.

    Nothing passes on nothing: a comparison that was refused, or that decided no mechanism on no
    task, fails whatever the policy.
    """
    if comparison.refused:
        return GateDecision(False, (f"not comparable: {'; '.join(comparison.refused)}",))
    why = []
    if comparison.changed:
        why.append(f"changed: {named(comparison, Change.CHANGED)}")
    elif comparison.is_empty:
        why.append(f"nothing was decided ({comparison.counted or 'nothing to compare'})")
    if fail_undecided and comparison.of(Change.UNDECIDED):
        why.append(f"undecided: {named(comparison, Change.UNDECIDED)}")
    if fail_not_comparable and comparison.of(Change.NOT_COMPARABLE):
        why.append(f"not comparable: {named(comparison, Change.NOT_COMPARABLE)}")
    return GateDecision(not why, tuple(why))


def kept_gate(folder: Path) -> GateDecision | None:
    """What a run's gate has decided; None where none was asked for.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / GATE
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    try:
        return GateDecision(bool(said["passed"]), tuple(said["why"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{GATE} with passed and why expected, got {error!r}") from error


def named(comparison: BaselineComparison, verdict: str) -> str:
    found = tasks_by_mechanism(comparison.of(verdict))
    return ", ".join(f"{name} ({', '.join(tasks)})" for name, tasks in found.items())

"""What a gate asks of a comparison, how much may move, and what that means for the exit code.

One decision, printed and returned alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from mmflow_bench.baselines.paired_records import BaselineComparison, Change, tasks_by_mechanism

GATE = "gate.json"
"""What the gate decided, in the run folder; absent where none was asked for."""


DEFAULTS: Mapping[str, float] = MappingProxyType(
    {"fraction": 0.10, "probability": 0.10, "depth": 0.10, "accuracy": 0.05}
)
"""Unit -> margin: ten points of an effect, a tenth of the depth, five points of accuracy."""

_NAMES = {"effect": "fraction"} | {unit: unit for unit in DEFAULTS if unit != "fraction"}
TWIN_FACTOR = 2.0
"""Log-odds that a relative change of one is worth at least: 10 points are 0.2 or more at every
probability from 0.2 to 0.9, so that a real change is one in log-odds too."""


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


def parse_tolerance(text: str | None) -> dict[str, float]:
    """Margins by unit.

    >>> parse_tolerance("5%")["fraction"], parse_tolerance("effect=0.05,depth=0.2")["depth"]
    (0.05, 0.2)

    Args:
        text: One number for effects and probabilities, or NAME=VALUE pairs; the defaults when None.

    Raises:
        ValueError: A name is unknown, or a value is no margin in (0, 1).
    """
    margins = dict(DEFAULTS)
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, equals, value = part.rpartition("=")
        units = [_NAMES.get(name)] if equals else ["fraction", "probability"]
        for unit in units:
            if unit is None:
                raise ValueError(
                    f"--tolerance takes a margin such as 0.1 or 10%, or {', '.join(_NAMES)} with "
                    f"one (effect=0.1,depth=0.05), got {part!r}"
                )
            margins[unit] = _margin(value)
    return margins


def _margin(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = float("nan")
    if not 0 < value < 1:
        raise ValueError(f"--tolerance takes a margin between 0 and 1 (0.1 or 10%), got {text!r}")
    return value

"""The pre-declared gate set: what is compared between a checkpoint and its base, and how.

Declared at the tests, before anything is measured, so that the correction for asking much is
honest: nobody can look at all curves and then name the one that moved. Each row reads one number
off the curves that the mechanism of its name reads (docs/decisions/016).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from mmflow_bench.mechanisms.bands import Band
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration, Gate
from mmflow_bench.names import Suite


@dataclass(frozen=True, slots=True)
class GateRow(Gate):
    """One number that is compared on every task."""

    id: str = field(kw_only=True)
    """The mechanism that it belongs to."""
    suite: Suite = field(kw_only=True, default="core")
    """The smallest suite that the mechanism is part of."""

    @property
    def unit(self) -> str:
        """Decides the tolerance."""
        if self.reading == "accuracy":
            return "accuracy"
        if self.reading == "centre":
            return "depth"
        return "probability" if self.probe else "fraction"

    def as_dict(self) -> dict[str, Any]:
        """The row as values that JSON can carry from a test worker."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateRow:
        return cls(**{**values, "band": Band(**values["band"])})


@cache
def gate_set() -> tuple[GateRow, ...]:
    """The rows that the package ships, in the order of reports."""
    return gate_rows(mechanisms(shipped()))


def gate_rows(declarations: Iterable[Declaration]) -> tuple[GateRow, ...]:
    return tuple(
        GateRow(one.gate.reading, one.gate.of, one.gate.band, id=one.id, suite=one.suite)
        for one in declarations
        if one.gate is not None
    )

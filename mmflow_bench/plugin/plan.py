"""What a run will ask for, as data: light, for every run of pytest makes an empty one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmflow_bench.measurements.wants import Want

ALL_TASKS = "all"


@dataclass(frozen=True, slots=True)
class Planned:
    """What the selected tests read of one task of one checkpoint."""

    wants: tuple[Want[object], ...] = ()
    second_opinions: tuple[Want[object], ...] = ()
    """The same by other methods, of the tests whose verdicts are asked again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every task of every checkpoint is asked for."""

    tasks: Mapping[tuple[str, str], Planned] = field(default_factory=dict)
    """By (slug, task)."""

    def of(self, model: str, task: str) -> Planned:
        """Everything that the selected tests read of one task of one checkpoint."""
        return self.tasks.get((model, task), Planned())

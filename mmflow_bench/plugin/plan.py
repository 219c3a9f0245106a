"""What a run will ask for, as data; `planning` finds it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.watching import Reads


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


def asked_of_tasks(tests: Iterable[tuple[Reads, bool]]) -> dict[str, Planned]:
    """What some tests together ask of each task.

    Args:
        tests: What each reads, and whether its verdict is asked again by other methods.
    """
    wants: dict[str, dict[Want[object], None]] = {}
    again: dict[str, dict[Want[object], None]] = {}
    for reads, is_asked_again in tests:
        for task, read in reads.wants.items():
            wants.setdefault(task, {}).update(dict.fromkeys(read))
        for task, read in reads.second_opinions.items() if is_asked_again else ():
            again.setdefault(task, {}).update(dict.fromkeys(read))
    return {task: Planned(tuple(read), tuple(again.get(task, ()))) for task, read in wants.items()}

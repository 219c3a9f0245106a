"""What the selected tests will ask for, known before the first of them runs.

All edges of one sample share one clean pass and most of the decoder's work, so measuring
everything that a task needs at once is several times cheaper than test by test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.measurements.needs import Need
from mmflow_bench.measurements.settings import matches
from mmflow_bench.plugin.models import MODEL_FIXTURE, function_of, mechanism_of, model_of, task_of

if TYPE_CHECKING:
    from mmflow_bench.plugin.settings import Settings

ALL_TASKS = "all"


@dataclass(frozen=True, slots=True)
class Plan:
    """What every task of every checkpoint is asked for."""

    needs: Mapping[tuple[str, str], Need] = field(default_factory=dict)
    """(slug, task) -> need; task is `all` for statements across tasks."""

    def of(self, model: str, task: str) -> Need:
        """Everything that the selected tests read of one task of one checkpoint."""
        nothing = Need()
        shared = self.needs.get((model, ALL_TASKS), nothing)
        return self.needs.get((model, task), nothing).union(shared)


def plan(items: Iterable[pytest.Item]) -> Plan:
    """The plan for the selected tests; tests without a catalogued mechanism add nothing."""
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    catalogue = {mechanism.id: mechanism for mechanism in CATALOGUE}
    needs: dict[tuple[str, str], Need] = {}
    for item in items:
        model, mechanism = model_of(item), catalogue.get(mechanism_of(item) or "")
        if model is None or mechanism is None:
            continue
        task = task_of(item)
        for name in (task,) if task else mechanism.tasks:
            needs.setdefault((model, name), Need()).add(mechanism)
    return Plan(needs)


def deselect(config: pytest.Config, items: list[pytest.Item], settings: Settings) -> None:
    """Keep the tests that --mechanisms and --tasks ask for; leaves other tests alone."""
    dropped = [item for item in items if _is_flow_test(item) and not _is_selected(item, settings)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(map(id, dropped))
        items[:] = [item for item in items if id(item) not in gone]


def _is_flow_test(item: pytest.Item) -> bool:
    return MODEL_FIXTURE in getattr(item, "fixturenames", ())


def _is_selected(item: pytest.Item, settings: Settings) -> bool:
    # A mechanism of one's own may go without a marker: its test function's name stands for it.
    name = mechanism_of(item) or function_of(item)
    task = task_of(item)
    measured = settings.measurement
    return matches(name, measured.mechanisms) and (task is None or matches(task, measured.tasks))

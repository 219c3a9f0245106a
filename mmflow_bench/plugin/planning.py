"""What the selected tests will ask for, known before the first of them runs.

All edges of one sample share one clean pass and most of the decoder's work, so measuring
everything that a task needs at once is several times cheaper than test by test.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mmflow_bench.measurements.settings import matches
from mmflow_bench.mechanisms.watching import Reads, watch
from mmflow_bench.plugin.models import MODEL_FIXTURE, model_of, task_of
from mmflow_bench.plugin.plan import Plan, asked_of_tasks
from mmflow_bench.plugin.run import declaration_of, run_of
from mmflow_bench.plugin.settings import Settings

READS = pytest.StashKey[Reads]()
"""What a test reads: watched once, asked for again by second opinions."""


def plan(items: Iterable[pytest.Item]) -> Plan:
    """The plan for the selected tests: each is run once on a flow that only watches."""
    tests: dict[str, list[tuple[Reads, bool]]] = {}
    for item in items:
        model = model_of(item)
        # What is refused before it runs reads nothing.
        if model and declaration_of(item).is_about(run_of(item.config).specs[model].paper_model):
            tests.setdefault(model, []).append((reads_of(item), has_second_opinion(item)))
    return Plan(
        {
            (model, task): planned
            for model, of_model in tests.items()
            for task, planned in asked_of_tasks(of_model).items()
        }
    )


def reads_of(item: pytest.Item) -> Reads:
    """What a test reads; nothing known of one that needs other fixtures than `flow`."""
    if READS not in item.stash:
        item.stash[READS] = _watched(item)
    return item.stash[READS]


def _watched(item: pytest.Item) -> Reads:
    given = dict(item.callspec.params)  # type: ignore[attr-defined]
    given.pop(MODEL_FIXTURE, None)
    names = set(item._fixtureinfo.argnames)  # type: ignore[attr-defined]
    if names != {"flow", *given}:
        return Reads()
    function = item.obj  # type: ignore[attr-defined]
    return watch(lambda flow: function(flow=flow, **given))


def has_second_opinion(item: pytest.Item) -> bool:
    """Whether a verdict on this test is asked again by other methods (docs/decisions/010)."""
    return declaration_of(item).tier == "holds"


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
    task = task_of(item)
    return matches(declaration_of(item).id, settings.measurement.mechanisms) and (
        task is None or matches(task, settings.measurement.tasks)
    )

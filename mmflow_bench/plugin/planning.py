"""What the selected tests will ask for, known before the first of them runs.

All edges of one sample share one clean pass and most of the decoder's work, so measuring
everything that a task needs at once is several times cheaper than test by test.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.measurements.settings import matches
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.watching import Reads, watch
from mmflow_bench.plugin.models import MODEL_FIXTURE, function_of, mechanism_of, model_of, task_of
from mmflow_bench.plugin.plan import Plan, Planned

if TYPE_CHECKING:
    from mmflow_bench.plugin.settings import Settings


READS = pytest.StashKey[Reads]()
"""What a test reads: watched once, asked for again by second opinions."""


def plan(items: Iterable[pytest.Item]) -> Plan:
    """The plan for the selected tests: each is run once on a flow that only watches."""
    wants: dict[tuple[str, str], dict[Want[object], None]] = {}
    again: dict[tuple[str, str], dict[Want[object], None]] = {}
    for item in items:
        model = model_of(item)
        if model is None:
            continue
        reads = reads_of(item)
        for task, read in reads.wants.items():
            wants.setdefault((model, task), {}).update(dict.fromkeys(read))
        for task, read in reads.second_opinions.items() if has_second_opinion(item) else ():
            again.setdefault((model, task), {}).update(dict.fromkeys(read))
    return Plan(
        {key: Planned(tuple(read), tuple(again.get(key, ()))) for key, read in wants.items()}
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
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    name = mechanism_of(item)
    tier = next((known.tier for known in CATALOGUE if known.id == name), None)
    return tier == "holds"


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
    return matches(name, settings.mechanisms) and (
        task is None or matches(task, settings.measurement.tasks)
    )

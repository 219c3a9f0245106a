"""The declarations of collected tests: checked when they are collected, with all that is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest

from mmflow_bench.baselines.gate_set import GateRow, gate_rows
from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.declared import cases_of, repeated, shipped, tasks_of
from mmflow_bench.mechanisms.declaring import declaration, refuse_conflict, require_applicable
from mmflow_bench.plugin.models import model_of
from mmflow_bench.plugin.run import Run, declaration_of, key_of


def declare(run: Run, test: pytest.Function) -> None:
    """Keep what a collected test of `flow` declares.

    Raises:
        pytest.Collector.CollectError: Its marker says something that is not known, or something
            else than another test of the same id.
    """
    key = key_of(test)
    before = [one for known, one in run.declared.items() if known != key]
    try:
        found = declaration(
            list(test.iter_markers()),
            function=key[1],
            doc=test.function.__doc__,
            tasks=tasks_of(cases_of(test.iter_markers())),
            repeated=partial(repeated, before=before),
        )
        for other in before:
            if other.id == found.id:
                refuse_conflict(other, found)
    except MechanismError as error:
        raise pytest.Collector.CollectError(f"{test.nodeid}: {error}") from error
    run.declared[key] = found


def refuse(item: pytest.Item) -> None:
    """End a test whose marker says that the checkpoint is none that it is about.

    Raises:
        NotApplicable: It is not.
    """
    if flow := item.funcargs.get("flow"):  # type: ignore[attr-defined]
        require_applicable(declaration_of(item), flow)


def own_gate(items: Iterable[pytest.Item]) -> dict[GateRow, None]:
    """The rows that mechanisms of one's own add to the gate set."""
    known = {test.declaration.id for test in shipped()}
    declared = {one.id: one for item in items if model_of(item) for one in [declaration_of(item)]}
    return dict.fromkeys(gate_rows(one for name, one in declared.items() if name not in known))

"""Which worker runs which test: all tests of one checkpoint and task on the same one.

They read one measurement, so a worker that has it should have them all. Marking groups for
`--dist loadgroup` is no way: pytest 9.2 with xdist 3.8 ignores the marks without a word
(pytest-xdist#1386).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScheduling, LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController


def has_flow_tests(nodeids: Sequence[str], slugs: frozenset[str]) -> bool:
    """Whether workers have collected a test of `flow`; node ids are all that they send."""
    return any(measurement_key(nodeid, slugs) for nodeid in nodeids)


class FlowScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Groups tests by (checkpoint, task); other tests are dealt out one by one."""

    slugs: frozenset[str] = frozenset()
    """Slugs of the checkpoints of the run."""

    def _split_scope(self, nodeid: str) -> str:
        return measurement_key(nodeid, self.slugs) or nodeid

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give a worker a unit; one that is gone gives it back when `remove_node` is told so."""
        with suppress(OSError):
            super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Give the tests of a worker that is gone to others, but for the one that has killed it.

        xdist's own would hand that one out again.
        """
        workload = self.assigned_work.pop(node)
        left = [(unit, name) for unit in workload.values() for name in unit if not unit[name]]
        if not left:
            return None
        unit, crashed = left[0]
        unit[crashed] = True
        self.workqueue.update({k: unit for k, unit in workload.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return str(crashed)

    def schedule(self) -> None:
        super().schedule()
        # A worker keeps its last test until it hears that there is no other; xdist's own would
        # leave one that has replaced another waiting for ever.
        for node in self.nodes if not self.workqueue else ():
            if not node.shutting_down:
                node.shutdown()


class ChosenByCollection:
    """xdist's own scheduler unless some collected test asks for `flow`.

    Which of the two is right is known only when the workers have collected.
    """

    def __init__(self, config: pytest.Config, log: Producer, slugs: frozenset[str]) -> None:
        grouped = FlowScheduling(config, log)
        grouped.slugs = slugs
        self._candidates = (grouped, LoadScheduling(config, log))
        self._chosen: FlowScheduling | LoadScheduling | None = None

    def add_node(self, node: WorkerController) -> None:
        for scheduler in self._open():
            scheduler.add_node(node)

    def remove_node(self, node: WorkerController) -> str | None:
        crashed = [scheduler.remove_node(node) for scheduler in self._open()]
        return next((item for item in crashed if item), None)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        grouped, plain = self._candidates
        if self._chosen is None:
            self._chosen = grouped if has_flow_tests(collection, grouped.slugs) else plain
        self._chosen.add_node_collection(node, collection)

    def _open(self) -> Sequence[FlowScheduling | LoadScheduling]:
        return self._candidates if self._chosen is None else (self._chosen,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen or self._candidates[0], name)


def measurement_key(nodeid: str, slugs: frozenset[str]) -> str | None:
    """`slug/task` of a test that reads a measurement, from its id; None for other tests.

    >>> measurement_key("test_a.py::test_b[planted_base-ChooseAttr]", frozenset({"planted_base"}))
    'planted_base/ChooseAttr'
    """
    _, bracket, rest = nodeid.rpartition("::")[2].partition("[")
    parts = rest.removesuffix("]").split("-") if bracket else []
    slug = next((part for part in parts if part in slugs), None)
    if slug is None:
        return None
    # Here, not at the top: runs of other projects get no further.
    from mmflow_bench.inputs.samples import SIX_TASKS
    from mmflow_bench.runs.rows import ALL

    # Parameters of other fixtures may come before the slug and the task.
    others = [part for part in parts if part != slug]
    known = [part for part in others if part in SIX_TASKS]
    return f"{slug}/{next(iter(known or others), ALL)}"

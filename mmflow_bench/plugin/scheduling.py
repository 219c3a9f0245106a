"""Which worker runs which test: all tests of one checkpoint and task on the same one.

They read one measurement, so a worker that has it should have them all. Marking groups for
`--dist loadgroup` is no way: pytest 9.2 with xdist 3.8 ignores the marks without a word
(pytest-xdist#1386).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdist.scheduler import LoadScheduling, LoadScopeScheduling

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.plugin.plan import ALL_TASKS


class FlowScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Groups tests by (checkpoint, task); other tests are dealt out one by one."""

    slugs: frozenset[str] = frozenset()
    """Slugs of the checkpoints of the run."""

    def _split_scope(self, nodeid: str) -> str:
        return measurement_key(nodeid, self.slugs) or nodeid


class ChosenByCollection:
    """xdist's own scheduler unless some collected test asks for `flow`.

    Which of the two is right is known only when the workers have collected.
    """

    def __init__(self, grouped: FlowScheduling, plain: LoadScheduling) -> None:
        """Choose between the two at the first collection."""
        self._candidates: tuple[Any, Any] = (grouped, plain)
        self._chosen: Any = None

    def add_node(self, node: Any) -> None:
        """Tell both, as the choice is still open."""
        for scheduler in self._open():
            scheduler.add_node(node)

    def remove_node(self, node: Any) -> str | None:
        """Tell both, or the chosen one, that a worker is gone."""
        crashed = [scheduler.remove_node(node) for scheduler in self._open()]
        return next((item for item in crashed if item), None)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Choose, then pass the collection on."""
        grouped, plain = self._candidates
        if self._chosen is None:
            has_flow = any(measurement_key(nodeid, grouped.slugs) for nodeid in collection)
            self._chosen = grouped if has_flow else plain
        self._chosen.add_node_collection(node, collection)

    def _open(self) -> tuple[Any, ...]:
        return self._candidates if self._chosen is None else (self._chosen,)

    def __getattr__(self, name: str) -> Any:
        """Everything else is up to the chosen one."""
        return getattr(self._chosen or self._candidates[0], name)


def measurement_key(nodeid: str, slugs: frozenset[str]) -> str | None:
    """`slug/task` of a test that reads a measurement, from its id; None for other tests.

    >>> measurement_key("test_a.py::test_b[planted_base-ChooseAttr]", frozenset({"planted_base"}))
    'planted_base/ChooseAttr'
    """
    _, bracket, rest = nodeid.rpartition("::")[2].partition("[")
    parts = rest.removesuffix("]").split("-") if bracket else []
    if not parts or parts[0] not in slugs:
        return None
    known = [part for part in parts[1:] if part in SIX_TASKS]
    task = known[0] if known else next(iter(parts[1:]), ALL_TASKS)
    return f"{parts[0]}/{task}"

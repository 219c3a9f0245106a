"""What becomes of the tests of workers that are gone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from xdist.remote import Producer

from mmflow_bench.plugin.scheduling import FlowScheduling

TESTS = [f"test_a.py::test_b[m-{number}]" for number in range(8)]


class Node:
    """A worker that can be told to run tests for as long as it lives."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.is_alive = True
        self.told: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        if not self.is_alive:
            raise OSError("cannot send (already closed?)")
        self.told += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def scheduling(monkeypatch):
    monkeypatch.setattr(FlowScheduling, "slugs", frozenset({"m"}))
    option = SimpleNamespace(loadscopereorder=True, tx=["popen", "popen"], maxprocesses=None)
    config = SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))
    return FlowScheduling(config, Producer("test", enabled=False))


def test_two_workers_that_die_at_once_give_their_tests_to_the_next(scheduling):
    first, second, third = (Node(f"gw{i}") for i in range(3))
    scheduling.numnodes = 2
    for node in (first, second):
        scheduling.add_node(node)
        scheduling.add_node_collection(node, TESTS)
    scheduling.schedule()
    first.is_alive = second.is_alive = False
    # The second is handed what the first leaves before anybody knows that it is gone as well.
    blamed = {scheduling.remove_node(first), scheduling.remove_node(second)}
    assert len(blamed) == 2
    scheduling.add_node(third)
    scheduling.add_node_collection(third, TESTS)
    scheduling.schedule()
    for _ in TESTS:
        for index in third.told:
            scheduling.mark_test_complete(third, index)
    assert {TESTS[i] for i in third.told} == set(TESTS) - blamed

"""A pytest plugin that tells where the time of a run goes: `-p stages`, told in `$STAGES`, JSON.

Of the processor, of which other programs take none:

- `start`: until the first test begins, imports and collection included;
- `samples`: questions and images are looked for, read and hashed;
- `read`: what is known of the samples, from the store or not, is asked for and made into tables;
- `verdicts`: the rest of what tests do, statistics above all;
- `report`: the run folder, its comparison and every report.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from machine import resident

from mmflow_bench.measurements.session import Measurements

READS = ("ensure", "table", "accuracy", "refusals", "noise_floor")
began, spent, open_stages = time.process_time(), Counter[str](), list[str]()
memory: dict[str, int] = {}


@contextmanager
def stage(name: str) -> Generator[None]:
    """Time is counted for the innermost stage alone."""
    _count()
    open_stages.append(name)
    try:
        yield
    finally:
        _count()
        memory[open_stages.pop()] = resident("VmHWM")


def _count() -> None:
    global began
    now = time.process_time()
    spent[open_stages[-1] if open_stages else "start"] += now - began
    began = now


def _within(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def timed(*given: Any, **named: Any) -> Any:
        with stage(name):
            return function(*given, **named)

    return timed


def pytest_configure() -> None:
    kind: Any = Measurements
    for name in READS:
        found = vars(Measurements)[name]
        if isinstance(found, property):
            setattr(kind, name, property(_within("read", found.fget)))  # type: ignore[arg-type]
        else:
            setattr(kind, name, _within("read", found))
    kind.open = _within("samples", Measurements.open)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    with stage("verdicts"):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, None, None]:
    with stage("report"):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary() -> Generator[None, None, None]:
    with stage("report"):
        yield
    told = {"seconds": dict(spent), "memory_so_far": memory, "memory": resident("VmHWM")}
    Path(os.environ["STAGES"]).write_text(json.dumps(told), encoding="utf-8")

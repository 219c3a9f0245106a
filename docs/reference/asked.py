"""What the tests of a mechanism read and ask, in words, without running anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.declared import DeclaredTest
from mmflow_bench.mechanisms.watching import Asked, Reads, watched
from mmflow_bench.runs.rows import ALL, grouped

_TASK = "|".join(SIX_TASKS)
_ON_TASKS = re.compile(rf" on ((?:{_TASK})(?:, (?:{_TASK}))*)")


def reads_by_task(tests: Sequence[DeclaredTest]) -> list[tuple[str, Reads]]:
    """What each test reads, beside the task that it was called with; `all` for none."""
    return [
        (str(case.get("task", ALL)), reads)
        for test in tests
        for case, reads in zip(test.cases, watched(test), strict=True)
    ]


def interventions(reads: Sequence[tuple[str, Reads]]) -> list[str]:
    """Everything that is read, once each."""
    return list(dict.fromkeys(map(described, wants_of(reads))))


def wants_of(reads: Sequence[tuple[str, Reads]]) -> Iterator[Want[object]]:
    for _, found in reads:
        for of_task in found.wants.values():
            yield from of_task


def described(want: Want[object]) -> str:
    """One thing that is read.

    >>> described(Sweep.of("image->last", width=1))
    '`image -> last` in windows of 1'
    """
    if isinstance(want, Lens):
        return f"the {want.variant} lens of `{want.probe}`"
    if not isinstance(want, Sweep):
        return f"the {want.name}"
    name = f"`{want.name.replace('->', ' -> ')}`"
    return name if want.width is None else f"{name} in windows of {want.width}"


def questions(reads: Sequence[tuple[str, Reads]]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Tasks, and what is asked of the estimates on each of them, one line for each question."""
    by_lines = grouped(reads, lambda pair: tuple(dict.fromkeys(map(_line, pair[1].asked))))
    for lines, pairs in by_lines.items():
        yield tuple(dict.fromkeys(task for task, _ in pairs)), list(lines)


def _line(asked: Asked) -> str:
    estimate = without_tasks(asked.estimate).replace("->", " -> ")
    if asked.is_observed:
        return f"{estimate}: observed, no threshold"
    among = f" ({asked.among})" if asked.among else ""
    return f"{estimate}: `{asked.threshold}`{among}"


def without_tasks(name: str) -> str:
    """An estimate's name without its task; two that are compared stay apart.

    >>> without_tasks("peak of image->last on QueryAttr / peak of last->last on QueryAttr")
    'peak of image->last / peak of last->last'
    >>> without_tasks("depth on ChooseAttr - depth on ChooseRel")
    'depth on one task - depth on another'
    """
    found = list(dict.fromkeys(_ON_TASKS.findall(name)))
    words: Mapping[str, str] = dict.fromkeys(found, "")
    if len(found) > 1:
        words = dict(zip(found, [" on one task", *[" on another"] * len(found)], strict=False))
    return _ON_TASKS.sub(lambda match: words[match[1]], name)

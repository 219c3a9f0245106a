"""What the tests of a mechanism read and ask, in words, without running anything."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.declared import DeclaredTest, shipped
from mmflow_bench.mechanisms.watching import Asked, Reads, watched
from mmflow_bench.runs.rows import ALL, grouped


@cache
def _on_tasks() -> re.Pattern[str]:
    """What an estimate's name says of its tasks: the paper's six, and whatever the suites ask."""
    known = {task for test in shipped() for task in test.declaration.tasks} - {ALL}
    # The longest first, since one name may begin another.
    task = "|".join(map(re.escape, sorted({*SIX_TASKS, *known}, key=len, reverse=True)))
    return re.compile(rf" on ((?:{task})(?:, (?:{task}))*)")


def reads_by_task(tests: Sequence[DeclaredTest]) -> list[tuple[str, Reads]]:
    """What each test reads, beside the task that it was called with; `all` for none."""
    return [
        (str(case.get("task", ALL)), reads)
        for test in tests
        for case, reads in zip(test.cases, watched(test), strict=True)
    ]


def interventions(reads: Sequence[tuple[str, Reads]]) -> list[str]:
    """Everything that is read, once each."""
    return list(dict.fromkeys(described(want) for _, want in wants_of(reads)))


def wants_of(reads: Sequence[tuple[str, Reads]]) -> Iterator[tuple[str, Want[object]]]:
    """Every task with what is read of it."""
    for _, found in reads:
        for task, of_task in found.wants.items():
            yield from ((task, want) for want in of_task)


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
    if want.is_second_opinion:
        name += f" ({want.method})"
    if want.of_forty is not None:
        return f"{name} in windows of {want.of_forty} of 40 layers"
    return name if want.width is None else f"{name} in windows of {want.width}"


def is_observation(reads: Sequence[tuple[str, Reads]]) -> bool:
    """Whether a mechanism asks nothing of what it reads, so that nothing is expected of it."""
    asked = [one for _, found in reads for one in found.asked]
    return bool(asked) and all(one.is_observed for one in asked)


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
    found = list(dict.fromkeys(_on_tasks().findall(name)))
    words: Mapping[str, str] = dict.fromkeys(found, "")
    if len(found) > 1:
        words = dict(zip(found, [" on one task", *[" on another"] * len(found)], strict=False))
    return _on_tasks().sub(lambda match: words[match[1]], name)


def written(tests: Sequence[DeclaredTest]) -> list[str]:
    """The assertions of tests as they are written, for what only real samples show."""
    return list(dict.fromkeys(line for test in tests for line in _assertions(test.function)))


def _assertions(function: Callable[..., object]) -> Iterator[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield f"`{ast.unparse(node.test)}`, as it is written"

"""The mechanisms that files of tests declare, read by importing them: no pytest run is needed.

Listings, the paper's own baseline, the gate set and `mmflow measure` all come from here, so that a
mechanism is written down once, at its test.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

from mmflow_bench.errors import MechanismError, SelectionError
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.declaring import (
    ALL,
    Declaration,
    Mark,
    declaration,
    refuse_conflict,
)
from mmflow_bench.mechanisms.paper import section_place
from mmflow_bench.names import Suite, hint, is_wanted, refuse_outside, refuse_unmatched

FILES = "test_*.py"


@dataclass(frozen=True, slots=True)
class DeclaredTest:
    """One test of `flow`, and what it declares."""

    declaration: Declaration
    function: Callable[..., object]
    cases: tuple[Mapping[str, object], ...]
    """What it is called with besides the flow, once for each set of parameters."""


@cache
def shipped() -> tuple[DeclaredTest, ...]:
    """The tests of the suites that come with the package, in the order of reports."""
    tests = declared_in([shipped_suites()])
    return tuple(sorted(tests, key=lambda test: section_place(test.declaration.section)))


def shipped_suites() -> Path:
    """The suites: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for candidate in (package / "suites", package.parent / "suites"):
        if any(candidate.glob(FILES)):
            return candidate
    raise MechanismError(f"suites, got none in {package} nor beside it; reinstall mmflow-bench")


def chosen_tests(
    suites: Sequence[Path] = (), *, patterns: Sequence[str] = (), suite: Suite = "core"
) -> list[DeclaredTest]:
    """The tests that are asked for, by id and suite.

    Args:
        suites: Files of tests or folders of them; what ships without any.
        patterns: Of --mechanisms; all when empty.
        suite: Of --suite.

    Raises:
        MechanismError: A file declares something that is not known.
        SelectionError: There is no test, or a pattern selects none.
    """
    tests = declared_in(suites) if suites else shipped()
    if not tests:
        places = ", ".join(map(str, suites))
        raise SelectionError(f"files with tests of `flow`, got none in {places}; check the path")
    declared = [test.declaration for test in tests]
    refuse_unmatched(
        patterns,
        dict.fromkeys(one.id for one in declared),
        option="--mechanisms",
        what="a mechanism of the suites",
        advice="`mmflow ls mechanisms` lists those that ship",
    )
    refuse_outside(patterns, {one.id: one.suite for one in declared}, chosen=suite)
    return [
        test
        for test, one in zip(tests, declared, strict=True)
        if is_wanted(one.id, one.suite, patterns=patterns, chosen=suite)
    ]


def mechanisms(tests: Iterable[DeclaredTest]) -> tuple[Declaration, ...]:
    """Each mechanism once, with the tasks of all its tests."""
    united: dict[str, Declaration] = {}
    for test in tests:
        one = test.declaration
        first = united.setdefault(one.id, one)
        refuse_conflict(first, one)
        tasks = in_order({*first.tasks, *one.tasks})
        united[one.id] = replace(first, tasks=tasks, gate=first.gate or one.gate)
    return tuple(united.values())


def in_order(tasks: Iterable[str]) -> tuple[str, ...]:
    """Tasks as reports have them: the paper's six, then others by name."""
    place = {task: index for index, task in enumerate(SIX_TASKS)}
    return tuple(sorted(tasks, key=lambda task: (place.get(task, len(place)), task)))


def declared_in(paths: Iterable[Path]) -> tuple[DeclaredTest, ...]:
    """The tests of `flow` in files, and in the `test_*.py` of folders.

    Raises:
        MechanismError: A marker says something that is not known, or a file is no Python.
    """
    found: list[DeclaredTest] = []
    for path in paths:
        for file in sorted(path.rglob(FILES)) if path.is_dir() else [path]:
            _add_tests(found, file)
    return tuple(found)


def repeated(
    name: str, tasks: Sequence[str], *, before: Iterable[Declaration], is_shipped: bool = False
) -> Declaration:
    """What a test without a docstring repeats: what ships, or the words of a test before it.

    What ships may say something else of other tasks than `tasks`; a test that itself `is_shipped`
    repeats only those before it.
    """
    known = [] if is_shipped else [test.declaration for test in shipped()]
    found = [one for one in known if one.id == name]
    if found:
        return next((one for one in found if {*tasks} <= {*one.tasks}), found[0])
    for one in before:
        # Only the words: whom the paper says it of may depend on the task.
        if one.id == name:
            return replace(one, only_for=(), not_for=(), fails_for=(), unsaid_of=(), gate=None)
    raise MechanismError(
        "a docstring, which is the mechanism's statement, or the id of one that ships with the "
        f"package, got {name!r}{hint(name, [one.id for one in known])}"
    )


def cases_of(marks: Iterable[Mark]) -> tuple[Mapping[str, object], ...]:
    """The sets of arguments that `parametrize` marks give a test; one empty set without any."""
    alternatives = [
        [dict(zip(names, values, strict=False)) for values in sets]
        for names, sets in map(_parametrised, marks)
        if names
    ]
    chosen = product(*alternatives)
    return tuple({name: one[name] for one in parts for name in one} for parts in chosen)


def tasks_of(marks: Iterable[Mark]) -> tuple[str, ...]:
    """The tasks that `parametrize` marks give a test; `("all",)` where none does."""
    tasks = [
        str(values[names.index("task")])
        for names, sets in map(_parametrised, marks)
        if "task" in names
        for values in sets
        if len(values) == len(names)
    ]
    return tuple(dict.fromkeys(tasks)) or (ALL,)


def _add_tests(found: list[DeclaredTest], file: Path) -> None:
    module = _imported(file)
    is_shipped = file.parent == shipped_suites()
    for owner, function in _functions(module):
        marks = [*_marks(function), *_marks(owner), *_marks(module)]
        before = [test.declaration for test in found]
        try:
            declared = declaration(
                marks,
                function=function.__name__,
                doc=function.__doc__,
                tasks=tasks_of(marks),
                repeated=partial(repeated, before=before, is_shipped=is_shipped),
            )
        except MechanismError as error:
            raise MechanismError(f"{file}::{function.__name__}: {error}") from error
        bound = getattr(owner(), function.__name__) if owner else function
        found.append(DeclaredTest(declared, bound, cases_of(marks)))


def _imported(file: Path) -> ModuleType:
    name = f"mmflow_declared_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise MechanismError(f"a file of Python tests, got {file}")
    module = importlib.util.module_from_spec(spec)
    # Where annotations are strings, dataclasses look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        raise MechanismError(f"tests that can be imported, got {error} ({file})") from error
    return module


def _functions(module: ModuleType) -> Iterator[tuple[type | None, Callable[..., object]]]:
    """Tests of `flow` as pytest finds them by default, with their class if they have one."""
    named = vars(module).items()
    classes = [one for name, one in named if name.startswith("Test") and inspect.isclass(one)]
    for owner in (None, *classes):
        for name, one in vars(owner or module).items():
            is_test = name.startswith("test") and inspect.isfunction(one)
            if is_test and "flow" in inspect.signature(one).parameters:
                yield owner, one


def _marks(owner: object) -> list[Mark]:
    marks = getattr(owner, "pytestmark", ())
    return list(marks) if isinstance(marks, list | tuple) else [marks]


def _parametrised(mark: Mark) -> tuple[list[str], list[Sequence[object]]]:
    """Names and sets of values of a `parametrize` mark; nothing of any other mark.

    What pytest will refuse is left for it to say.
    """
    given: dict[str, Any] = dict(zip(("argnames", "argvalues"), mark.args, strict=False))
    given |= mark.kwargs
    names, values = given.get("argnames", ()), given.get("argvalues")
    # What can be walked only once is pytest's to walk.
    if mark.name != "parametrize" or not isinstance(values, Collection):
        return [], []
    split = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    return split, [_values(one, len(split)) for one in values]


def _values(one: Any, count: int) -> Sequence[object]:
    # `pytest.param` wraps the values of one set, whether there is one name or more.
    if hasattr(one, "marks"):
        return tuple(one.values)
    if count == 1:
        return (one,)
    return tuple(one) if isinstance(one, Collection) else ()

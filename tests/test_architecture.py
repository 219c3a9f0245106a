"""The direction of knowledge: a stage imports itself and stages to its left, nothing else.

And within a stage, files import each other in one direction. Imports that only type checkers see
and those inside functions count: what has to be understood together is not two files.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmflow_bench"
STAGES = (
    "errors",
    "names",
    "files",
    "options",
    "checkpoints",
    "inputs",
    "scenes",
    "planted",
    "learned",
    "positions",
    "interventions",
    "store",
    "measurements",
    "statistics",
    "mechanisms",
    "runs",
    "baselines",
    "reports",
    "tracing",
    "interactive",
    "training",
    "engines",
    "plugin",
    "campaigns",
    "cli",
)
ALLOWED = {
    "torch": {
        "checkpoints",
        "inputs",
        "planted",
        "learned",
        "positions",
        "interventions",
        "measurements",
    },
    "transformers": {
        "checkpoints",
        "inputs",
        "planted",
        "learned",
        "interventions",
        "measurements",
        "training",
    },
    "ray": {"engines"},
    "pytest": {"plugin", "cli"},
    "syrupy": {"baselines", "plugin"},
    "rich": {"reports", "tracing", "interactive", "plugin", "cli"},
}


def stage_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    return [path for path in found if stage_of(path) not in ("__init__", "__main__", "suites")]


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_its_own_stage_and_stages_to_the_left(path: Path) -> None:
    stage = stage_of(path)
    for name in imported_names(path):
        if name.startswith("mmflow_bench."):
            other = name.split(".")[1]
            assert STAGES.index(other) <= STAGES.index(stage), (
                f"{stage} may not import {other}: it is downstream"
            )


@pytest.mark.parametrize("library", sorted(ALLOWED))
def test_a_library_is_imported_only_in_the_stages_that_need_it(library: str) -> None:
    users = {
        stage_of(path)
        for path in modules()
        if any(name.split(".")[0] == library for name in imported_names(path))
    }
    assert users <= ALLOWED[library]


def test_every_folder_of_the_package_is_a_stage() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= set(STAGES)


def imported_files(path: Path) -> set[Path]:
    """The files of the package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {file_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {file_of(f"{node.module}.{alias.name}") for alias in node.names}
            found |= names - {None} or {file_of(node.module)}
    return {file for file in found if file is not None and file != path}


def file_of(module: str) -> Path | None:
    """The file of a module of the package; None for a package's, and for other things."""
    first, *parts = module.split(".")
    file = PACKAGE.joinpath(*parts).with_suffix(".py")
    return file if first == PACKAGE.name and parts and file.is_file() else None


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Files that import each other, the first one twice; empty where none do."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    name = {path: str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    imports = {name[path]: {name[other] for other in imported_files(path)} for path in name}
    assert not circle(imports), " -> ".join(circle(imports))


def test_a_circle_is_found_and_named() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})[:2] in (
        ["a", "b"],
        ["b", "c"],
        ["c", "a"],
    )
    assert circle({"a": {"b"}, "b": {"c"}}) == []


def test_every_imported_module_of_the_package_exists() -> None:
    # A type checker may find what is gone here in an installed copy.
    for path in [*PACKAGE.rglob("*.py"), *Path(__file__).parent.rglob("*.py")]:
        for name in imported_names(path):
            if name.startswith("mmflow_bench."):
                place = PACKAGE.joinpath(*name.split(".")[1:])
                assert place.is_dir() or place.with_suffix(".py").is_file(), f"{path}: {name}"


def test_the_page_on_architecture_names_files_that_are_there() -> None:
    text = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    named = {name for name in re.findall(r"`([\w/]+\.py)`", text) if "my_" not in name}
    places = (PACKAGE, PACKAGE.parent, PACKAGE / "mechanisms")
    assert not [name for name in named if not any((place / name).is_file() for place in places)]
    assert all(f" {stage}" in text or f"`{stage}`" in text for stage in STAGES)

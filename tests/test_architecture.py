"""The direction of knowledge: a stage imports itself and stages to its left, nothing else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmflow_bench"
STAGES = (
    "errors",
    "options",
    "checkpoints",
    "inputs",
    "scenes",
    "planted",
    "positions",
    "interventions",
    "store",
    "measurements",
    "statistics",
    "mechanisms",
    "baselines",
    "reports",
    "plugin",
    "cli",
)
ALLOWED = {
    "torch": {"checkpoints", "inputs", "planted", "positions", "interventions", "measurements"},
    "transformers": {"checkpoints", "inputs", "planted", "interventions", "measurements"},
    "pytest": {"plugin", "cli"},
    "syrupy": {"baselines", "plugin"},
    "rich": {"reports", "plugin", "cli"},
}


def stage_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    return [path for path in found if stage_of(path) not in ("__init__", "suites")]


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

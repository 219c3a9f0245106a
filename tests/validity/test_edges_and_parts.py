"""Rows of App. B, App. J and the edges beyond: held where their mechanism is, killed where not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from kill_matrix import TELLING

from mmflow_bench.inputs.samples import CHOOSE_TASKS, SIX_TASKS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OPTIONS_LAST = ["ChooseAttr", "ChooseCat"]
ATTRIBUTE = ["ChooseAttr"]
Verdicts = Mapping[str, Mapping[str, list[str]]]

PARTS = {
    "j1-true-drop": CHOOSE_TASKS,
    "j1-false-rise": CHOOSE_TASKS,
    "j1-same-layers": CHOOSE_TASKS,
    "j1-options-dominant": CHOOSE_TASKS,
    "j1-obj-null": ("CompareAttr", "LogicalObj", "QueryAttr"),
    "j2-same-layers": CHOOSE_TASKS,
    "j2-before-j1": CHOOSE_TASKS,
    "j2-obj-low": ("CompareAttr", "LogicalObj"),
    "j3-two-drops": (*CHOOSE_TASKS, "QueryAttr"),
    "j3-true-gt-false-2": CHOOSE_TASKS,
    "j4-first-dominant": SIX_TASKS,
    "j5-second-dominant": SIX_TASKS,
}
WINDOWS = ("win-qlast-mid", "win-imglast-null", "win-imgq-two-low", "win-merge", "win-monotone")


@pytest.mark.parametrize(
    ("name", "suite", "mechanisms", "fails"),
    [
        # Its options are read in the middle of a question too.
        ("question-parts", "paper", "j?-*", {"j1-true-drop": ["ChooseRel"]}),
        (
            "direct",
            "paper",
            "j?-*",
            {
                # Nothing reaches a part, so nothing reaches the true option.
                name: [task for task in tasks if (name, task) != ("j1-true-drop", "ChooseRel")]
                for name, tasks in PARTS.items()
            },
        ),
        ("base", "paper", "win-*", {}),
        ("direct", "paper", "win-*", dict.fromkeys(WINDOWS, ATTRIBUTE)),
        # One drop merges with nothing, and is as deep in any window.
        ("single-stage", "paper", "win-*", dict.fromkeys(WINDOWS[2:], ATTRIBUTE)),
        # Two drops that are far apart do not merge.
        ("late-stage-2", "paper", "win-merge", {"win-merge": ATTRIBUTE}),
        ("base", "all", "x-suffix-out,x-bg-spatial", {"x-bg-spatial": ["all"]}),
        ("background-places", "all", "x-suffix-out,x-bg-spatial", {}),
        ("suffix-readout", "all", "x-suffix-out", {"x-suffix-out": list(SIX_TASKS)}),
    ],
)
def test_rows_fail_where_their_mechanism_is_not_and_nowhere_else(
    tmp_path: Path, name: str, suite: str, mechanisms: str, fails: Mapping[str, list[str]]
) -> None:
    found = verdicts(tmp_path, name, f"--suite={suite}", f"--mechanisms={mechanisms}")
    red = {
        row: tasks
        for verdict, rows in found.items()
        for row, tasks in rows.items()
        if verdict in TELLING
    }
    assert red == {row: sorted(tasks) for row, tasks in fails.items()}
    assert set(found) <= {"holds", *TELLING}


def test_what_the_suffix_reads_is_reported(tmp_path: Path) -> None:
    found = verdicts(
        tmp_path,
        "suffix-readout",
        *("--suite=all", "--mechanisms=x-suffix-in,x-suffix-in-question", "--tasks=ChooseAttr"),
    )
    assert found == {"report": {one: ATTRIBUTE for one in ("x-suffix-in", "x-suffix-in-question")}}


def verdicts(folder: Path, name: str, *options: str) -> Verdicts:
    """Verdict -> mechanism -> its tasks; two images of each task stand for many."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "suites/", "-q", "--no-twins", "--no-self-test"),
            *("-p", "no:cacheprovider", "-p", "many_images", "-p", "few_draws", "--limit=1-3"),
            *(f"--mmflow-output={folder}", f"--model=planted/{name}", *options),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "builders")},
        capture_output=True,
        text=True,
    )
    paths = list(folder.glob("*/results.json"))
    assert len(paths) == 1, done.stdout[-3000:] + done.stderr[-3000:]
    results = json.loads(paths[0].read_text())
    assert not results["errors"], results["errors"]
    found: dict[str, dict[str, list[str]]] = {}
    for row in results["mechanisms"]:
        tasks = found.setdefault(row["verdict"], {}).setdefault(row["id"], [])
        tasks.append(row["task"])
        tasks.sort()
    return found

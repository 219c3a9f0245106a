"""Verdicts of some mechanisms on planted checkpoints, by the command that a user would type."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from forked import run_module

ROOT = Path(__file__).parents[2]


def verdicts(
    folder: Path,
    *,
    models: Sequence[str],
    mechanisms: str,
    tasks: str = "ChooseAttr",
    options: Sequence[str] = (),
) -> Mapping[str, Mapping[str, str]]:
    """Checkpoint -> mechanism, with its task where it has one -> verdict, of a single run.

    Of two images each, every one of them as many.
    """
    run_module(
        "pytest",
        [
            *("suites/", "-q", "-p", "no:cacheprovider", "-p", "many_images", "-p", "few_draws"),
            *(
                "--no-self-test",
                "--suite=all",
                "--limit=1-3",
                f"--mechanisms={mechanisms}",
                f"--tasks={tasks}",
            ),
            *(f"--mmflow-output={folder / 'runs'}", *options),
            *(f"--model={name}" for name in models),
        ],
        cwd=ROOT,
        env=os.environ
        | {
            "MMFLOW_CACHE": str(folder / "cache"),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'builders'}",
        },
    )
    found: dict[str, dict[str, str]] = {}
    for path in sorted((folder / "runs").glob("*/results.json")):
        results = json.loads(path.read_text(encoding="utf-8"))
        assert not results["errors"], results["errors"]
        found[results["checkpoint"]["name"]] = {
            row["id"] if row["task"] == "all" else f"{row['id']}[{row['task']}]": row["verdict"]
            for row in results["mechanisms"]
        }
    return found

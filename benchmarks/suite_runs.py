"""What benchmarks share that run the suites: one run of them, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def suite_run(model: str, *options: str) -> dict[str, Any]:
    """`results.json` of a run on two workers, with the rows of its comparison, if it has one."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "suites/", f"--model={model}", *options]
        command += ["-q", "-p", "no:cacheprovider", "-n", "2", f"--mmflow-output={folder}"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        found = [*Path(folder).glob("*/results.json")]
        if not found:
            raise SystemExit(ended.stdout + ended.stderr)
        results: dict[str, Any] = json.loads(found[0].read_text(encoding="utf-8"))
        comparison = found[0].with_name("comparison.json")
        if comparison.exists():
            results["compared"] = json.loads(comparison.read_text(encoding="utf-8"))["rows"]
        return results


def by_mechanism(results: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of `results.json` by mechanism and task."""
    return {(row["id"], row["task"]): row for row in results["mechanisms"]}

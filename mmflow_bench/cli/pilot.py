"""A pilot: a few images of each task through the suites, to plan a run by."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from mmflow_bench.baselines.sources import source_here
from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.cli.options import Asked
from mmflow_bench.cli.run import pytest_arguments
from mmflow_bench.cli.saying import say
from mmflow_bench.errors import BaselineError, MechanismError
from mmflow_bench.options import arguments_of
from mmflow_bench.plugin.options import renamed
from mmflow_bench.runs.folder import RESULTS
from mmflow_bench.runs.reading import read_run

_ENDED = (0, 1)
"""Exit codes of pytest after a run; whatever it decided, it was measured."""


def piloted(
    asked: Asked, baseline: str | None, images: int, alpha: float | None, folder: Path
) -> Path:
    """The run folder of a pilot; what it measures is in the store for the run that follows.

    Args:
        asked: The checkpoint, and what is measured.
        baseline: What it is compared with, if anything.
        images: Per task.
        alpha: Error rate of intervals; that of the project's settings when None.
        folder: Where the run folder is made.

    Raises:
        MMFlowError: The checkpoint or the baseline is not there, or the pilot has no verdict.
    """
    _ = asked.spec
    if baseline is not None:
        _require_values(asked, baseline)
    arguments = _arguments(asked, baseline, images, alpha, folder)
    say(f"measuring a pilot of {images} images per task", to_error=True)
    command = [sys.executable, "-m", "pytest", *pytest_arguments(arguments, Path.cwd())]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    found = sorted(folder.glob(f"*/{RESULTS}"))
    record = read_run(found[0].parent) if found and ended.returncode in _ENDED else None
    if record is None or not record.rows:
        errors = [error.message for error in record.results.errors] if record else []
        said = errors[0] if errors else _last_line(ended.stdout + ended.stderr)
        raise MechanismError(
            f"a pilot that ends with verdicts, got {said!r} (pytest's exit code "
            f"{ended.returncode}); `mmflow run` with the same options shows all of it"
        )
    return record.folder


def _require_values(asked: Asked, baseline: str) -> None:
    """Refuse before anything is measured what has no values of samples, or is not there."""
    source = source_here(baseline, offline=asked.checkpoint.offline)
    if source.kind == "verdicts":
        raise BaselineError(
            f"a baseline with values of samples, got verdicts only ({baseline}); `mmflow ls "
            "baselines` says which are paired"
        )
    if source.kind == "checkpoint":
        resolve_spec(source.name, asked.checkpoint)


def _arguments(
    asked: Asked, baseline: str | None, images: int, alpha: float | None, folder: Path
) -> list[str]:
    # What confirms a verdict is no part of what is planned.
    measured = replace(asked.measurement, twins=False, limit=str(images))
    own = [
        *arguments_of(replace(asked, measurement=measured)),
        *([f"--baseline={baseline}"] if baseline is not None else []),
        *([f"--alpha={alpha}"] if alpha is not None else []),
        *([] if measured.cache else ["--mmflow-cache=off"]),
        *("--gate=none", f"--mmflow-output={folder}"),
    ]
    # In full: the project that one stands in may have options of the short names.
    return [*renamed(own, own), "-q", "-p", "no:cacheprovider"]


def _last_line(output: str) -> str:
    """What pytest said last, of an error if it said one."""
    lines = [line for line in output.splitlines() if line.strip()] or ["nothing"]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])

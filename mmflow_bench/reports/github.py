"""What GitHub Actions shows of a run: the step summary, and annotations grouped by mechanism."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from mmflow_bench.baselines.paired_records import (
    CHANGED,
    UNDECIDED,
    ComparedRow,
    tasks_by_mechanism,
)
from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing
from mmflow_bench.reports.comparison_table import numbers_of
from mmflow_bench.reports.escaping import command_property, command_value
from mmflow_bench.reports.markdown import markdown
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.rows import grouped

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
MOST_BYTES = 1024 * 1024
"""GitHub throws the whole summary of a step away when it is longer."""
MOST_ANNOTATIONS = 10
"""Of each kind in a step; more are dropped without a word."""
_ANNOTATOR = "pytest_github_actions_annotate_failures"


def annotate(summary: Summary) -> list[str]:
    """Append to the step summary, and give the workflow commands to print.

    Raises:
        StoreError: The step summary cannot be written.
    """
    if place := os.environ.get(STEP_SUMMARY):
        _append(Path(place), summary)
    return [*_limited(_errors(summary), "error"), *_limited(_warnings(summary), "warning")]


def _append(path: Path, summary: Summary) -> None:
    with refusing(StoreError, "a step summary that can be written", path):
        room = MOST_BYTES - (path.stat().st_size if path.exists() else 0) - 1
        # Other steps may have filled the summary; less than this does not hold a headline.
        if room > 1000:
            with path.open("a", encoding="utf-8") as file:
                file.write(markdown(summary, most_bytes=room))


def _errors(summary: Summary) -> Iterator[tuple[str, str]]:
    """Title and message of what fails the gate, one for each mechanism."""
    if summary.gate is not None and not summary.gate.passed:
        yield "mmflow gate failed", f"{summary.name}: {'; '.join(summary.gate.why)}"
    if summary.comparison is not None:
        rows = summary.comparison.of(CHANGED)
        for name, members in grouped(rows, lambda row: row.id).items():
            yield f"{name} changed", "; ".join(map(_moved, members))
    # The plugin of pytest-dev has annotated failed tests already.
    if importlib.util.find_spec(_ANNOTATOR) is None:
        for name, tasks in summary.failing.items():
            yield f"{name} fails", f"{summary.name}: {', '.join(tasks)}"


def _warnings(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.comparison is not None:
        for name, tasks in tasks_by_mechanism(summary.comparison.of(UNDECIDED)).items():
            yield f"{name} undecided", f"{', '.join(tasks)}: more samples may decide"


def _moved(row: ComparedRow) -> str:
    if row.difference is None:
        return f"{row.task}: {row.reason}"
    before, after, _, moved, _ = numbers_of(row)
    return f"{row.task} {row.reading} {before} to {after}, moved by {moved}"


def _limited(found: Iterator[tuple[str, str]], kind: str) -> Iterator[str]:
    """At most as many as GitHub shows; the last one says how many are missing."""
    said = list(found)
    shown = said if len(said) <= MOST_ANNOTATIONS else said[: MOST_ANNOTATIONS - 1]
    for title, message in shown:
        yield f"::{kind} title={command_property(title)}::{command_value(message)}"
    if len(shown) < len(said):
        missing = len(said) - len(shown)
        yield f"::{kind} title=mmflow::{missing} more are in the step summary"

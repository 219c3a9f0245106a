"""A run on GitHub: a comment on a pull request, the summary of a step, and annotations.

In Markdown the verdict comes first, what changed is in the open and everything else is folded;
every text of a user is escaped.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from mmflow_bench.baselines.paired_records import (
    BaselineComparison,
    Change,
    ComparedRow,
    tasks_by_mechanism,
)
from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing
from mmflow_bench.mechanisms.numbers import bounds, counted, formatted, several
from mmflow_bench.reports.blind import CELLS, Tasks, blind_cells, blind_lines
from mmflow_bench.reports.comparison_table import (
    headline,
    numbers_of,
    signed_verdict,
    summary_line,
)
from mmflow_bench.reports.escaping import command_property, command_value
from mmflow_bench.reports.escaping import markdown as escaped
from mmflow_bench.reports.glance.flow import Glance
from mmflow_bench.reports.glance.words import PLACES, sentence
from mmflow_bench.reports.power_table import comparison_could_have_seen
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.rows import MechanismRow, grouped, verdict_line

MOST_BYTES = 60_000
"""A comment on GitHub holds 65,536 characters."""
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
MOST_STEP_BYTES = 1024 * 1024
"""GitHub throws the whole summary of a step away when it is longer."""
MOST_ANNOTATIONS = 10
"""Of each kind in a step; more are dropped without a word."""
_ANNOTATOR = "pytest_github_actions_annotate_failures"
_CUT = "\n\n*cut here: the whole is in the run folder*\n"


def markdown(summary: Summary, *, most_bytes: int = MOST_BYTES) -> str:
    """The summary of a run; what is folded is left out where it would become too long."""
    open_parts = [_title(summary), *_glances(summary.glances), *_open(summary)]
    folded = [
        *_folded_comparison(summary.comparison),
        *_folded_blind(summary.tasks),
        *_folded_mechanisms(summary.rows),
    ]
    parts = list(open_parts)
    for part in folded:
        # Cut between parts: half a table would be shown as text.
        if _size([*parts, part]) > most_bytes - len(_CUT):
            parts.append("*More is in the run folder.*")
            break
        parts.append(part)
    return cut("\n\n".join(parts) + "\n", most_bytes)


def cut(text: str, most_bytes: int) -> str:
    """A text that fits, cut at the end of a line if it has to be."""
    raw = text.encode()
    if len(raw) <= most_bytes:
        return text
    kept = raw[: max(0, most_bytes - len(_CUT.encode()))].decode(errors="ignore")
    return kept.rpartition("\n")[0] + _CUT


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells may be of anybody's words."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(escaped, row)) + " |" for row in rows)])


def _title(summary: Summary) -> str:
    name = escaped(summary.name)
    if summary.gate is None:
        return f"## {name}: {verdict_line(summary.rows) or 'no mechanisms'}"
    mark = "✅ gate passed" if summary.gate.passed else "❌ gate failed"
    return f"## {mark}: {name}"


def _glances(glances: Sequence[Glance]) -> Iterable[str]:
    places = [f"{place}: " for place in PLACES] if len(glances) > 1 else [""]
    for place, one in zip(places, glances, strict=False):
        described = f" ({escaped(one.description)})" if one.description else ""
        yield f"{place}**{escaped(one.name)}**{described}: {escaped(sentence(one), 2000)}"


def _open(summary: Summary) -> Iterable[str]:
    if summary.incomplete:
        yield f"**⚠️ {escaped(summary.incomplete, 1000)}**"
    if summary.gate is not None and not summary.gate.passed:
        yield "\n".join(f"- {escaped(why, 1000)}" for why in summary.gate.why)
    if said := blind_lines(summary.tasks):
        yield "\n".join(f"- {escaped(line, 400)}" for line in said)
    comparison = summary.comparison
    if comparison is None:
        return
    yield escaped(headline(comparison), 400)
    if comparison.source:
        yield f"Source of the baseline: {escaped(comparison.source, 400)}"
    if comparison.refused:
        yield "\n".join(f"- not comparable: {escaped(why, 400)}" for why in comparison.refused)
        return
    yield f"**{escaped(summary_line(comparison))}**"
    yield escaped(comparison_could_have_seen(comparison), 400)
    if changed := comparison.of(Change.CHANGED):
        yield _compared(changed)


def _folded_comparison(comparison: BaselineComparison | None) -> Iterable[str]:
    if comparison is None or not comparison.rows:
        return
    for verdict in (Change.UNDECIDED, Change.NOT_COMPARABLE):
        if rows := comparison.of(verdict):
            yield _details(f"{len(rows)} {verdict}", _compared(rows, has_reason=True))
    yield _details(f"All {len(comparison.rows)} comparisons", _compared(comparison.rows))
    counts = [
        (
            pairs.task,
            *map(str, (pairs.both, pairs.base_only, pairs.tuned_only, pairs.neither)),
            str(pairs.reworded),
        )
        for pairs in comparison.tasks
    ]
    if counts:
        head = ("task", "both", "baseline only", "checkpoint only", "neither", "reworded")
        yield _details("Questions answered correctly", table(head, counts))


def _folded_blind(tasks: Tasks) -> Iterable[str]:
    known = {task: count for task, count in tasks.items() if count.get("blind")}
    if not known:
        return
    head = ("task", "samples", "right", *CELLS.values())
    cells = [
        (task, str(count["selected"]), str(count["correct"]), *blind_cells(count))
        for task, count in known.items()
    ]
    yield _details("Answers without the image", table(head, cells))


def _folded_mechanisms(rows: Sequence[MechanismRow]) -> Iterable[str]:
    if not rows:
        return
    head = ("mechanism", "task", "verdict", "estimate", "interval", "n/img", "asked")
    cells = [
        (
            row.id,
            row.task,
            f"{row.verdict} ({row.outcome})",
            formatted(row.estimate, row.unit, is_aligned=True),
            bounds(row.low, row.high, row.unit),
            counted(row.n, row.images),
            row.threshold,
        )
        for row in rows
    ]
    count = several(len(rows), "verdict")
    yield _details(f"{count}: {verdict_line(rows)}", table(head, cells))


def _compared(rows: Sequence[ComparedRow], *, has_reason: bool = False) -> str:
    head = ["mechanism", "task", "read", "before", "after", "difference", "interval", "n/img", ""]
    if has_reason:
        head[-1] = "why"
    return table(head, (_cells(row, has_reason=has_reason) for row in rows))


def _cells(row: ComparedRow, *, has_reason: bool) -> tuple[str, ...]:
    before, after, *rest = numbers_of(row)
    # Where only verdicts are known, they stand in the place of the numbers.
    numbers = (before or row.was, after or row.now, *rest)
    last = row.reason if has_reason else signed_verdict(row)
    return (row.id, row.task, row.reading, *numbers, last)


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _size(parts: Sequence[str]) -> int:
    return len("\n\n".join(parts).encode())


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
        room = MOST_STEP_BYTES - (path.stat().st_size if path.exists() else 0) - 1
        # Other steps may have filled the summary; less than this does not hold a headline.
        if room > 1000:
            with path.open("a", encoding="utf-8") as file:
                file.write(markdown(summary, most_bytes=room))


def _errors(summary: Summary) -> Iterator[tuple[str, str]]:
    """Title and message of what fails the gate, one for each mechanism."""
    if summary.incomplete:
        yield "mmflow run incomplete", f"{summary.name}: {summary.incomplete}"
    if summary.gate is not None and not summary.gate.passed:
        yield "mmflow gate failed", f"{summary.name}: {'; '.join(summary.gate.why)}"
    if summary.comparison is not None:
        rows = summary.comparison.of(Change.CHANGED)
        for name, members in grouped(rows, lambda row: row.id).items():
            yield f"{name} changed", "; ".join(map(_moved, members))
    # The plugin of pytest-dev has annotated failed tests already.
    if importlib.util.find_spec(_ANNOTATOR) is None:
        for name, tasks in summary.failing.items():
            yield f"{name} fails", f"{summary.name}: {', '.join(tasks)}"


def _warnings(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.comparison is not None:
        for name, tasks in tasks_by_mechanism(summary.comparison.of(Change.UNDECIDED)).items():
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

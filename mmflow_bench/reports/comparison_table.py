"""The comparison on a terminal: what changed first, then everything, at the widths people have."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from mmflow_bench.baselines.paired_records import (
    CHANGED,
    NOT_COMPARABLE,
    UNCHANGED,
    UNDECIDED,
    VERDICTS,
    BaselineComparison,
    ComparedRow,
)
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.terminal import formatted

SYMBOLS = {CHANGED: "≠", UNDECIDED: "?", NOT_COMPARABLE: "-", UNCHANGED: "="}
STYLES = {
    CHANGED: "bold red",
    UNDECIDED: "yellow",
    NOT_COMPARABLE: "magenta",
    UNCHANGED: "green",
}
UNITS = {"accuracy": "fraction"}
_HEAD = ("task", "verdict", "before", "after", "moved by", "interval", "n")
_WIDTHS = (11, 16, 7, 7, 8, 16, 4)
_WIDE = 120
"""Columns from which a reason fits beside the numbers."""
_RIGHT = frozenset({"before", "after", "moved by", "n"})


def render_comparison(
    comparison: BaselineComparison, *, width: int = 80, colour: bool = False
) -> str:
    """The comparison as text, with ANSI colours if wanted.

    Args:
        comparison: A checkpoint against its baseline.
        width: Columns of the terminal.
        colour: Whether to colour.
    """
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(Text(headline(comparison), style="bold", overflow="fold"))
    for reason in comparison.refused:
        console.print(
            Text(f"not comparable: {plain(reason, 400)}", style="bold red", overflow="fold")
        )
    for line in [*_task_lines(comparison), *comparison.notes, *_origin(comparison)]:
        console.print(Text(plain(line, 400), style="dim", overflow="fold"))
    if comparison.rows:
        _print_rows(console, comparison, width)
        console.print(Text("\n").append(summary_line(comparison), style="bold"))
    return buffer.getvalue()


def headline(comparison: BaselineComparison) -> str:
    """Who is compared with whom, and how."""
    margins = dict(comparison.tolerance)
    if not margins:
        return f"{plain(comparison.name)} against {plain(comparison.base)}, verdicts only"
    effect, depth = formatted(margins["fraction"], "fraction"), margins["depth"]
    whom = "paired" if comparison.follow == "answer" else "paired on the reference answer"
    return (
        f"{plain(comparison.name)} against {plain(comparison.base)}, {whom}; tolerance "
        f"+-{effect} (depth {depth:g}, accuracy {formatted(margins['accuracy'], 'fraction')}), "
        f"alpha {comparison.alpha:g}"
    )


def summary_line(comparison: BaselineComparison) -> str:
    """How many rows have each verdict."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in comparison.counts.items())
    return f"{len(comparison.rows)} compared: {counts or 'nothing'}"


def number(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number of a comparison, with its sign where it is a difference.

    >>> number(0.12, "accuracy", signed=True), number(-0.3, "fraction"), number(None, "depth")
    ('+12.0%', '-30.0%', '')
    """
    text = formatted(value, UNITS.get(unit, unit))
    if not text.strip("-0.%"):
        text = text.removeprefix("-")
    return f"+{text}" if signed and text and not text.startswith("-") else text


def interval(row: ComparedRow) -> str:
    """The interval of a row's difference, short enough for a table."""
    if row.low is None or row.high is None:
        return ""
    low, high = number(row.low, row.unit), number(row.high, row.unit)
    return f"[{low.removesuffix('%')}, {high}]"


def _print_rows(console: Console, comparison: BaselineComparison, width: int) -> None:
    console.print()
    console.print(Text(f"  {_cells(_HEAD)}".rstrip()[:width], style="dim"))
    members: dict[str, list[ComparedRow]] = {}
    for row in sorted(comparison.rows, key=lambda row: VERDICTS.index(row.verdict)):
        members.setdefault(row.id, []).append(row)
    for name, rows in members.items():
        console.print(Text(plain(name), style="bold cyan").append(f"  {rows[0].reading}", "dim"))
        steady = [row for row in rows if row.verdict == UNCHANGED]
        told = [row for row in rows if row.verdict != UNCHANGED]
        for row in told if len(steady) > 1 else rows:
            _print_row(console, row, width)
        if len(steady) > 1:
            _print_steady(console, steady, width)


def _print_row(console: Console, row: ComparedRow, width: int) -> None:
    line = Text("  ", no_wrap=True)
    cells = _cells(_numbers(row))
    end = _WIDTHS[0] + 1 + _WIDTHS[1]
    line.append(cells[: _WIDTHS[0] + 1])
    line.append(cells[_WIDTHS[0] + 1 : end], style=STYLES[row.verdict])
    line.append(cells[end:])
    is_wide = row.low is None or width >= _WIDE
    if row.reason and is_wide:
        line.append(f" {plain(row.reason)}", style="dim")
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    console.print(line)
    if row.reason and not is_wide:
        console.print(Text(f"    {plain(row.reason, width - 4)}", style="dim"))


def _print_steady(console: Console, rows: Sequence[ComparedRow], width: int) -> None:
    """One line for the tasks on which nothing has changed, with the one that moved most."""
    line = Text("  ", no_wrap=True).append(f"{len(rows)} tasks".ljust(_WIDTHS[0] + 1))
    line.append(f"{SYMBOLS[UNCHANGED]} {UNCHANGED}".ljust(_WIDTHS[1]), style=STYLES[UNCHANGED])
    most = max(rows, key=lambda row: abs(row.difference or 0.0))
    if most.difference is not None:
        moved = number(most.difference, most.unit, signed=True)
        line.append(f" moved by at most {moved} {interval(most)} ({plain(most.task, 20)})")
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    console.print(line)


def _numbers(row: ComparedRow) -> tuple[str, ...]:
    if row.low is None and row.before is None:
        return (plain(row.task, 11), f"{SYMBOLS[row.verdict]} {row.verdict}")
    return (
        plain(row.task, 11),
        f"{SYMBOLS[row.verdict]} {row.verdict}",
        number(row.before, row.unit),
        number(row.after, row.unit),
        number(row.difference, row.unit, signed=True),
        interval(row),
        "" if row.n is None else str(row.n),
    )


def _cells(values: Sequence[str]) -> str:
    cells = []
    for value, width, head in zip(values, _WIDTHS, _HEAD, strict=False):
        cells.append(value.rjust(width) if head in _RIGHT else value.ljust(width))
    return " ".join(cells)


def _task_lines(comparison: BaselineComparison) -> list[str]:
    """How samples pair up, where it is not all of them."""
    return [
        f"{plain(pairs.task)}: {pairs.both} answered by both, {pairs.base_only} by the baseline "
        f"only, {pairs.tuned_only} by the checkpoint only"
        + (f", {pairs.reworded} of both with another first token" if pairs.reworded else "")
        for pairs in comparison.tasks
        if pairs.base_only or pairs.tuned_only or pairs.reworded
    ]


def _origin(comparison: BaselineComparison) -> list[str]:
    return [f"source: {comparison.source}"] if comparison.source else []

"""The comparison on a terminal: what changed first, then everything, at the widths people have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mmflow_bench.baselines.paired_records import VERDICTS, BaselineComparison, Change, ComparedRow
from mmflow_bench.mechanisms.numbers import bounds, counted, formatted
from mmflow_bench.reports.columns import Column, head, printed, table
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.signs import SIGNS
from mmflow_bench.runs.rows import grouped

_NAMES = (Column("task", 11), Column("verdict", 16))
_NUMBERS = (
    *_NAMES,
    Column("before", 7, is_number=True),
    Column("after", 7, is_number=True),
    Column("moved by", 8, is_number=True),
    Column("interval", 16),
    Column("n/img", 5, is_number=True),
)
_WORDS = Column("")
_WIDE = 120
"""Columns from which a reason fits beside the numbers."""


def render_comparison(
    comparison: BaselineComparison, *, width: int = 80, colour: bool = False
) -> str:
    return printed(parts(comparison, width), width=width, colour=colour)


def parts(comparison: BaselineComparison, width: int) -> Iterator[RenderableType]:
    """The comparison as lines and tables of rich's."""
    yield Text(headline(comparison), style="bold", overflow="fold")
    for reason in comparison.refused:
        yield Text(f"not comparable: {plain(reason, 400)}", style="bold red", overflow="fold")
    source = [f"source: {comparison.source}"] if comparison.source else []
    for line in [*_task_lines(comparison), *comparison.notes, *source]:
        yield Text(plain(line, 400), style="dim", overflow="fold")
    if comparison.rows:
        yield Text()
        yield head(_NUMBERS, width=width)
        yield from _mechanisms(comparison, width)
        yield Text()
        yield Text(summary_line(comparison), style="bold")


def headline(comparison: BaselineComparison) -> str:
    margins = comparison.tolerance
    if not margins:
        return f"{plain(comparison.name)} against {plain(comparison.base)}, verdicts only"
    whom = "paired" if comparison.follow == "answer" else "paired on the reference answer"
    return (
        f"{plain(comparison.name)} against {plain(comparison.base)}, {whom}; tolerance "
        f"+-{number(margins['fraction'], 'fraction')} (depth {margins['depth']:g}, accuracy "
        f"{number(margins['accuracy'], 'accuracy')}), alpha {comparison.alpha:g}"
    )


def summary_line(comparison: BaselineComparison) -> str:
    return f"{len(comparison.rows)} compared: {comparison.counted or 'nothing'}"


def number(value: float | None, unit: str, *, signed: bool = False) -> str:
    """A number of a comparison, with its sign where it is a difference.

    >>> number(0.12, "accuracy", signed=True), number(-0.3, "fraction"), number(None, "depth")
    ('+12.0%', '-30.0%', '')
    """
    text = formatted(value, unit, is_aligned=True)
    return f"+{text}" if signed and text and not text.startswith("-") else text


def signed_verdict(row: ComparedRow) -> str:
    return f"{SIGNS[row.verdict].page} {row.verdict}"


def numbers_of(row: ComparedRow) -> tuple[str, ...]:
    return (
        number(row.before, row.unit),
        number(row.after, row.unit),
        number(row.difference, row.unit, signed=True),
        bounds(row.low, row.high, row.unit),
        counted(row.n, row.images),
    )


def _mechanisms(comparison: BaselineComparison, width: int) -> Iterator[RenderableType]:
    ordered = sorted(comparison.rows, key=lambda row: VERDICTS.index(row.verdict))
    for name, rows in grouped(ordered, lambda row: row.id).items():
        yield Text(plain(name), style="bold cyan").append(f"  {rows[0].reading}", "dim")
        steady = [row for row in rows if row.verdict == Change.UNCHANGED]
        is_folded = len(steady) > 1
        for row in rows:
            if not (is_folded and row.verdict == Change.UNCHANGED):
                yield from _row(row, width)
        if is_folded:
            yield _steady(steady, width)


def _row(row: ComparedRow, width: int) -> Iterator[RenderableType]:
    names = _names(row, row.task)
    reason = Text(plain(row.reason), style="dim")
    if row.low is None and row.before is None:
        yield table([*_NAMES, _WORDS], [[*names, reason]], width=width)
        return
    cells = [*names, *numbers_of(row)]
    is_beside = row.low is None or width >= _WIDE
    columns = [*_NUMBERS, _WORDS] if is_beside else _NUMBERS
    yield table(columns, [[*cells, reason] if is_beside else cells], width=width)
    if row.reason and not is_beside:
        yield Text(f"    {plain(row.reason, width - 4)}", style="dim")


def _steady(rows: Sequence[ComparedRow], width: int) -> RenderableType:
    most = max(rows, key=lambda row: abs(row.difference or 0.0))
    moved = ""
    if most.difference is not None:
        size = number(most.difference, most.unit, signed=True)
        between = bounds(most.low, most.high, most.unit)
        moved = f"moved by at most {size} {between} ({plain(most.task, 20)})"
    names = _names(rows[0], f"{len(rows)} tasks")
    return table([*_NAMES, _WORDS], [[*names, moved]], width=width)


def _names(row: ComparedRow, task: str) -> list[str | Text]:
    return [plain(task, 11), Text(signed_verdict(row), style=SIGNS[row.verdict].style)]


def _task_lines(comparison: BaselineComparison) -> list[str]:
    return [
        f"{plain(pairs.task)}: {pairs.both} answered by both, {pairs.base_only} by the baseline "
        f"only, {pairs.tuned_only} by the checkpoint only"
        + (f", {pairs.reworded} of both with another first token" if pairs.reworded else "")
        for pairs in comparison.tasks
        if pairs.base_only or pairs.tuned_only or pairs.reworded
    ]

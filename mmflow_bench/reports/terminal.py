"""The closing tables: one block per section, one line per mechanism and task.

At 80 columns every number and every verdict fits and the curve is a thumbnail; wider terminals give
the rest of the line to the curve. Reasons are wrapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from mmflow_bench.mechanisms.numbers import bounds, counted, formatted, several, sparkline
from mmflow_bench.mechanisms.paper import section_title
from mmflow_bench.reports.blind import blind_lines
from mmflow_bench.reports.columns import Column, head, printed, table
from mmflow_bench.reports.escaping import plain, printable
from mmflow_bench.reports.signs import FAILED_STYLE, SIGNS, UNKNOWN
from mmflow_bench.reports.summary import Facts
from mmflow_bench.runs.rows import CONFIRMED, MechanismRow, incomplete_line, verdict_line

_NAMES = (Column("task", 12), Column("verdict", 15))
_NUMBERS = (
    *_NAMES,
    Column("estimate", 7, is_number=True),
    Column("interval", 16),
    Column("n/img", 5, is_number=True),
    Column("threshold", 10),
)
_REASON, _CURVE = Column("", is_wrapped=True), Column("curve")
_LEAST_CURVE, _MOST_CURVE = 5, 60
_LEAST_STATEMENT = 32
_LONGEST_RULE = 100
_LONGEST_REASON = 2000
"""Characters: what libraries say has no end."""


def render(
    rows: Sequence[MechanismRow],
    *,
    facts: Mapping[str, Facts],
    width: int = 80,
    colour: bool = False,
) -> str:
    """The closing tables of a run as text, with ANSI colours if wanted.

    The facts are by slug: `checkpoint`, `tasks` (with `unscored`), `messages`, `noise_floor`.
    """
    return printed(parts(rows, facts, width), width=width, colour=colour)


def parts(
    rows: Sequence[MechanismRow], facts: Mapping[str, Facts], width: int
) -> Iterator[RenderableType]:
    """The same as lines and tables of rich's."""
    for model, of_model in groupby(rows, lambda row: row.model):
        members, known = list(of_model), facts.get(model, {})
        yield _model_line(model, known)
        if line := incomplete_of(known):
            yield Text(printable(line), style="bold red", overflow="fold")
        if line := record_line(known):
            yield Text(printable(line), style="magenta", overflow="fold")
        for section, of_section in groupby(members, lambda row: row.section):
            yield from _section(section, list(of_section), width)
        for line in self_test_lines(known):
            yield Text(printable(line), style="bold red", overflow="fold")
        for line in blind_lines(known.get("tasks", {})):
            yield Text(printable(line), style="yellow", overflow="fold")
        for line in known.get("mistakes", {}).values():
            yield Text(printable(line), style="dim", overflow="fold")
        for line in unscored_lines(known):
            yield Text(printable(line), style="magenta", overflow="fold")
        yield from _counts(members)


def self_test_lines(facts: Facts) -> list[str]:
    return [
        f"self-test failed: {check['name']}: {check['detail']}"
        for check in facts.get("self_test", ())
        if not check["passed"]
    ]


def incomplete_of(facts: Facts) -> str:
    """That a run is not complete, and why; empty where it is."""
    why = facts.get("unfinished") or ()
    return incomplete_line(bool(facts.get("complete", not why)), why)


def record_line(facts: Facts) -> str:
    """How to choose the paper's record of a checkpoint that has the shape of one; else nothing."""
    like = facts.get("checkpoint", {}).get("resembles")
    if not like:
        return ""
    return (
        f"asked what the paper says of any checkpoint; it has the shape of {like}: "
        f"--mmflow-as={like} asks what it says of that one"
    )


def unscored_lines(facts: Facts) -> list[str]:
    """Samples that could not be measured, by task and reason, with a few messages."""
    lines = []
    for task, count in facts.get("tasks", {}).items():
        if count["unscored"]:
            reasons = ", ".join(f"{why} {n}" for why, n in sorted(count["unscored"].items()))
            lines.append(f"unscored: {task} {reasons} (of {count['selected']})")
        of = _followed(facts, count)
        # What all samples lack makes a mechanism not applicable instead.
        lines += [
            f"unscored: {task} {edge} {reason} {number} (of {of})"
            for edge, reasons in count.get("edges_unscored", {}).items()
            for reason, number in reasons.items()
            if number < of
        ]
    return lines + [f"  {message}" for message in facts.get("messages", ()) if lines]


def _follows_reference(facts: Facts) -> bool:
    return bool(facts.get("experiment", {}).get("follow") == "reference")


def _followed(facts: Facts, count: Mapping[str, Any]) -> int:
    # Whoever follows the reference answer follows it on wrong answers as well.
    if _follows_reference(facts):
        return int(count["selected"] - sum(count["unscored"].values()))
    return int(count["correct"])


def _model_line(model: str, facts: Facts) -> Text:
    checkpoint = facts.get("checkpoint", {})
    about = [str(checkpoint[name]) for name in ("family", "dtype") if checkpoint.get(name)]
    if checkpoint.get("decoder_layers"):
        about.insert(0, f"{checkpoint['decoder_layers']} layers")
    if checkpoint.get("as") not in (None, checkpoint.get("name")):
        about.append(f"asked as {checkpoint['as']}")
    if facts.get("noise_floor"):
        about.append(f"noise floor {facts['noise_floor']:.1e}")
    if _follows_reference(facts):
        about.append("--follow=reference")
    line = Text(plain(checkpoint.get("name", model)), style="bold")
    return line.append(f"  {plain(', '.join(about))}", style="not bold dim")


def _section(section: str, rows: Sequence[MechanismRow], width: int) -> Iterator[RenderableType]:
    title = Text(
        f"── {plain(section_title(section))} ", style="bold", no_wrap=True, overflow="ellipsis"
    )
    yield Text()
    yield title.append("─" * (min(width, _LONGEST_RULE) - title.cell_len))
    # Every number is shown whole, and the curves are as much shorter.
    known = [_cells(row, 0) for row in rows if row.estimate is not None]
    numbers = [
        column._replace(width=max([column.width, *(cell_len(str(cells[i])) for cells in known)]))
        for i, column in enumerate(_NUMBERS)
    ]
    taken = sum(max(len(column.head), column.width) + 1 for column in numbers) + 2
    curve = max(0, min(_MOST_CURVE, width - taken))
    yield head([*numbers, *([_CURVE] if curve >= _LEAST_CURVE else [])], width=width)
    for name, of_mechanism in groupby(rows, lambda row: row.id):
        members = list(of_mechanism)
        yield from _mechanism_lines(name, members[0], width)
        for is_known, alike in groupby(_folded(members), lambda row: row.estimate is not None):
            columns = [*numbers, _CURVE] if is_known else [*_NAMES, _REASON]
            yield table(columns, [_cells(row, curve) for row in alike], width=width)
        for remark in dict.fromkeys(row.remark for row in members if row.remark):
            yield Text(f"  * {plain(remark)}", style="yellow")


def _mechanism_lines(name: str, row: MechanismRow, width: int) -> Iterator[RenderableType]:
    """Its name, and its statement beside it, or below it where there is no room."""
    title = Text(plain(name), style="bold cyan", overflow="fold")
    if row.tier and row.tier != "holds":
        title.append(f" [{row.tier}]", style="not bold cyan")
    statement = Text(plain(row.statement), style="dim")
    before = title
    if width - title.cell_len < _LEAST_STATEMENT:
        yield title
        before = Text()
    columns = (Column(""), Column("", is_wrapped=True))
    yield table(columns, [[before, statement]], width=width, gap=2, indent=0)


def _folded(rows: Sequence[MechanismRow]) -> Sequence[MechanismRow]:
    if len(rows) > 1 and all(row.verdict == "not-applicable" for row in rows):
        return [replace(rows[0], task=f"{len(rows)} tasks")]
    return rows


def _cells(row: MechanismRow, curve: int) -> list[str | Text]:
    style = FAILED_STYLE if row.has_failed else SIGNS.get(row.verdict, UNKNOWN).style
    cells: list[str | Text] = [plain(row.task), Text(_verdict(row), style=style)]
    if row.estimate is None:
        return [*cells, Text(plain(row.reason, _LONGEST_REASON), style="dim")]
    return [
        *cells,
        formatted(row.estimate, row.unit, is_aligned=True),
        bounds(row.low, row.high, row.unit),
        counted(row.n, row.images),
        plain(row.threshold),
        Text(sparkline(row.curve, curve), style="cyan"),
    ]


def _verdict(row: MechanismRow) -> str:
    sign = SIGNS.get(row.verdict, UNKNOWN)
    if row.baseline == "drift":
        return f"≠ {row.verdict}"
    known = " (known)" if row.is_known_failure else " (new)" if row.outcome == "xpassed" else ""
    return f"{sign.terminal} {row.verdict}{known}{'*' if row.remark else ''}"


def _counts(rows: Sequence[MechanismRow]) -> Iterator[Text]:
    yield Text()
    yield Text(f"{several(len(rows), 'verdict')}: ", style="bold").append(
        verdict_line(rows), "not bold"
    )
    if confirmed := sum(CONFIRMED in row.qualifier for row in rows):
        yield Text(f"{confirmed} {CONFIRMED}")
    drifted = sum(row.baseline == "drift" for row in rows)
    if compared := drifted + sum(row.baseline == "same" for row in rows):
        line = Text(f"baseline: {compared - drifted} as stored")
        yield line.append(f", {drifted} drifted" if drifted else "", style="bold red")

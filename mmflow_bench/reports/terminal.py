"""The closing tables: one block per section, one line per mechanism and task.

At 80 columns every number fits and the curve is a thumbnail; wider terminals give the rest of the
line to the curve.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from mmflow_bench.mechanisms.paper import section_title
from mmflow_bench.mechanisms.sparkline import sparkline
from mmflow_bench.reports.escaping import plain, printable
from mmflow_bench.reports.rows import CONFIRMED, MechanismRow, verdict_counts

SYMBOLS = {"holds": "✓", "fails": "✗", "inconclusive": "?", "instrument-dependent": "?"}
STYLES = {
    "holds": "green",
    "fails": "red",
    "inconclusive": "yellow",
    "instrument-dependent": "yellow",
    "precondition-failed": "magenta",
    "not-applicable": "dim",
}
SHORT = {"precondition-failed": "precondition", "instrument-dependent": "instrument"}
PERCENT_UNITS = frozenset({"fraction", "relative change", "probability", "percent"})
_HEAD = ("task", "verdict", "estimate", "interval", "n", "threshold")
_WIDTHS = (12, 15, 7, 16, 4, 10)
_MOST_CURVE = 60


def render(
    rows: Sequence[MechanismRow],
    *,
    facts: Mapping[str, Mapping[str, Any]],
    width: int = 80,
    colour: bool = False,
) -> str:
    """The closing tables of a run as text, with ANSI colours if wanted.

    Args:
        rows: In the order to be shown.
        facts: By slug: `checkpoint`, `tasks` (with `unscored`), `messages`, `noise_floor`.
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
    for model, of_model in groupby(rows, lambda row: row.model):
        members = list(of_model)
        console.print(_model_line(model, facts.get(model, {})))
        for section, of_section in groupby(members, lambda row: row.section):
            _print_section(console, section, list(of_section), width)
        for line in self_test_lines(facts.get(model, {})):
            console.print(Text(printable(line), style="bold red", overflow="fold"))
        for line in unscored_lines(facts.get(model, {})):
            console.print(Text(printable(line), style="magenta", overflow="fold"))
        console.print(_summary(members))
    return buffer.getvalue()


def formatted(value: float | None, unit: str) -> str:
    """A number as a reader wants it: changes and probabilities in percent.

    >>> formatted(-0.3042, "fraction"), formatted(0.52, "depth"), formatted(None, "depth")
    ('-30.4%', '0.52', '')
    """
    if value is None:
        return ""
    if unit in PERCENT_UNITS:
        # Adding zero makes a negative zero positive.
        return f"{round(100 * value, 1) + 0.0:.1f}%"
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) < 100 else f"{value:.4g}"


def self_test_lines(facts: Mapping[str, Any]) -> list[str]:
    """Checks of the instrument that failed, with the likely cause."""
    return [
        f"self-test failed: {check['name']}: {check['detail']}"
        for check in facts.get("self_test", ())
        if not check["passed"]
    ]


def unscored_lines(facts: Mapping[str, Any]) -> list[str]:
    """Samples that could not be measured, by task and reason, with a few messages."""
    lines = []
    for task, count in facts.get("tasks", {}).items():
        if count["unscored"]:
            reasons = ", ".join(f"{why} {n}" for why, n in sorted(count["unscored"].items()))
            lines.append(f"unscored: {task} {reasons} (of {count['selected']})")
        lines += _edge_lines(task, count, of=_followed(facts, count))
    return lines + [f"  {message}" for message in facts.get("messages", ()) if lines]


def _edge_lines(task: str, count: Mapping[str, Any], *, of: int) -> list[str]:
    """Edges that some samples lack; what all of them lack makes a mechanism not applicable."""
    return [
        f"unscored: {task} {edge} {reason} {number} (of {of})"
        for edge, reasons in count.get("edges_unscored", {}).items()
        for reason, number in reasons.items()
        if number < of
    ]


def _follows_reference(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("experiment", {}).get("follow") == "reference")


def _followed(facts: Mapping[str, Any], count: Mapping[str, Any]) -> int:
    """Samples of a task through which an answer's probability is followed."""
    if _follows_reference(facts):
        return int(count["selected"] - sum(count["unscored"].values()))
    return int(count["correct"])


def verdict_line(rows: Iterable[MechanismRow]) -> str:
    """How many mechanisms have each verdict, those known beforehand in brackets."""
    members = list(rows)
    parts = []
    for verdict, count in verdict_counts(members).items():
        known = sum(row.verdict == verdict and row.outcome == "xfailed" for row in members)
        parts.append(f"{count} {verdict}" + (f" ({known} as expected)" if known else ""))
    return ", ".join(parts)


def _model_line(model: str, facts: Mapping[str, Any]) -> Text:
    checkpoint = facts.get("checkpoint", {})
    about = [str(checkpoint[name]) for name in ("family", "dtype") if checkpoint.get(name)]
    if checkpoint.get("decoder_layers"):
        about.insert(0, f"{checkpoint['decoder_layers']} layers")
    if facts.get("noise_floor"):
        about.append(f"noise floor {facts['noise_floor']:.1e}")
    if _follows_reference(facts):
        about.append("--follow=reference")
    line = Text(plain(checkpoint.get("name", model)), style="bold")
    return line.append(f"  {plain(', '.join(about))}", style="not bold dim")


def _print_section(
    console: Console, section: str, rows: Sequence[MechanismRow], width: int
) -> None:
    console.print()
    console.print(
        Text(f"── {plain(section_title(section))} ".ljust(min(width, 100), "─"), style="bold")
    )
    curve_width = max(0, min(_MOST_CURVE, width - sum(_WIDTHS) - len(_WIDTHS) - 2))
    head = _cells(_HEAD)
    console.print(Text(f"  {head} {'curve' if curve_width >= 5 else ''}".rstrip(), style="dim"))
    for name, of_mechanism in groupby(rows, lambda row: row.id):
        members = list(of_mechanism)
        console.print(_mechanism_line(name, members[0], width))
        for row in _folded(members):
            console.print(_row_line(row, curve_width, width))
        for qualifier in dict.fromkeys(filter(None, map(_remark, members))):
            console.print(Text(f"  * {plain(qualifier)}", style="yellow"))


def _mechanism_line(name: str, row: MechanismRow, width: int) -> Text:
    line = Text(plain(name), style="bold cyan", no_wrap=True)
    if row.tier and row.tier != "holds":
        line.append(f" [{row.tier}]", style="not bold cyan")
    line.append(f"  {plain(row.statement)}", style="not bold dim")
    line.truncate(width, overflow="ellipsis")
    return line


def _folded(rows: Sequence[MechanismRow]) -> Sequence[MechanismRow]:
    """One row instead of many where a mechanism applies to no task."""
    if len(rows) > 1 and all(row.verdict == "not-applicable" for row in rows):
        return [replace(rows[0], task=f"{len(rows)} tasks")]
    return rows


def _row_line(row: MechanismRow, curve_width: int, width: int) -> Text:
    line = Text("  ", no_wrap=True)
    line.append(f"{plain(row.task):<{_WIDTHS[0]}} ")
    style = "bold red" if row.outcome in {"failed", "xpassed"} else STYLES.get(row.verdict, "")
    line.append(f"{_verdict(row):<{_WIDTHS[1]}}", style=style)
    if row.estimate is None:
        line.append(f" {plain(row.reason)}", style="dim")
    else:
        line.append(" " + _cells(_numbers(row), skip=2))
        line.append(" " + sparkline(row.curve, curve_width), style="cyan")
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    return line


def _remark(row: MechanismRow) -> str:
    """What must be read beside a verdict; that it is confirmed is counted at the end."""
    said = row.qualifier.split(", ")
    return ", ".join(part for part in said if part != CONFIRMED)


def _verdict(row: MechanismRow) -> str:
    verdict = SHORT.get(row.verdict, row.verdict)
    if row.baseline == "drift":
        return f"≠ {verdict}"
    if row.outcome == "xfailed":
        verdict = f"{verdict} (known)"
    elif row.outcome == "xpassed":
        verdict = f"{verdict} (new)"
    mark = "*" if _remark(row) else ""
    return f"{SYMBOLS.get(row.verdict, '-')} {verdict}{mark}"


def _numbers(row: MechanismRow) -> tuple[str, ...]:
    low, high = formatted(row.low, row.unit), formatted(row.high, row.unit)
    interval = f"[{low.removesuffix('%')}, {high}]" if low and high else ""
    count = "" if row.n is None else str(row.n)
    return (formatted(row.estimate, row.unit), interval, count, plain(row.threshold))


def _cells(values: Sequence[str], *, skip: int = 0) -> str:
    """Values under their heads: words to the left, numbers to the right."""
    cells = []
    for value, width, head in zip(values, _WIDTHS[skip:], _HEAD[skip:], strict=True):
        is_number = head in {"estimate", "n"}
        cells.append(value.rjust(width) if is_number else value.ljust(width))
    return " ".join(cells)


def _summary(rows: Sequence[MechanismRow]) -> Text:
    line = Text("\n").append(f"{len(rows)} mechanisms: ", style="bold").append(verdict_line(rows))
    if confirmed := sum(CONFIRMED in row.qualifier for row in rows):
        line.append(f"\n{confirmed} {CONFIRMED}")
    compared = sum(row.baseline in {"same", "drift"} for row in rows)
    drifted = sum(row.baseline == "drift" for row in rows)
    if compared:
        line.append(f"\nbaseline: {compared - drifted} as stored")
        line.append(f", {drifted} drifted" if drifted else "", style="bold red")
    return line

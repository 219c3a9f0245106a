"""What a run could have seen and what it needs: a table on a terminal, a sentence for a gate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text

from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.power import Power, RowPower, power_of_comparison
from mmflow_bench.baselines.tolerances import DECIDED
from mmflow_bench.baselines.verdict_power import power_of_rows
from mmflow_bench.mechanisms.numbers import PERCENT_UNITS, formatted, several
from mmflow_bench.reports.columns import Column, head, printed, table
from mmflow_bench.reports.comparison_table import number
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.signs import SIGNS
from mmflow_bench.runs.rows import MechanismRow, grouped
from mmflow_bench.statistics.power import POWER

_NAMES = (Column("task", 11), Column("verdict", 16))
_WORDS = Column("")


def render_power(found: Power, *, width: int = 80, colour: bool = False) -> str:
    return printed(_parts(found, width), width=width, colour=colour)


def could_have_seen(found: Power) -> str:
    """What a gate's green is worth, in a sentence.

    The change that would have been found on the share of rows that has to be decided, and on the
    row that tells the least.
    """
    points = [row for row in found.known if row.unit in PERCENT_UNITS]
    depths = [row for row in found.known if row.unit == "depth"]
    if not points and not depths:
        return "could have seen nothing: no row has an interval"
    said = [_sizes(found, points), _sizes(found, depths)]
    where = "" if found.base is not None else " beside a threshold"
    return f"could have seen {'; '.join(filter(None, said))}{where}"


def comparison_could_have_seen(found: BaselineComparison) -> str:
    """The same of a comparison as it was made; nothing where it was refused."""
    if found.refused:
        return ""
    if found.kind != "paired":
        return "verdicts only, so that nobody knows what change could have been seen"
    return could_have_seen(power_of_comparison(found))


def verdicts_could_have_seen(
    rows: Sequence[MechanismRow], tolerance: Mapping[str, float], alpha: float
) -> str:
    """The same of verdicts by themselves, from their intervals."""
    known = power_of_rows(rows, asked={}, tolerance=tolerance, alpha=alpha)
    return could_have_seen(
        Power(name="", base=None, alpha=alpha, power=POWER, decided=DECIDED, rows=known)
    )


def needed(found: Power) -> str:
    """What is needed, in a sentence."""
    share, rows = f"{100 * found.decided:g}%", len(found.known)
    what = "unchanged where nothing has changed" if found.base is not None else "narrow enough"
    most = max(row.needs or 0 for row in found.known)
    return f"{share} of {rows} rows {what}: {found.needs} images per task; each of them: {most}"


def _sizes(found: Power, rows: Sequence[RowPower]) -> str:
    if not rows:
        return ""
    worst = max(rows, key=lambda row: row.could_see or 0.0)
    usual, most = _size(found.could_see(rows), worst.unit), _size(worst.could_see, worst.unit)
    if usual == most:
        return usual
    return f"{usual}, on {plain(worst.id)} ({plain(worst.task)}) {most}"


def _size(value: float | None, unit: str) -> str:
    """Rounded up: no smaller change is promised than the one that was worked out."""
    points = math.ceil(100 * (value or 0.0) - 1e-6)
    if unit == "depth":
        return f"{points / 100:g} of the depth"
    return several(points, "point")


def _parts(found: Power, width: int) -> Iterator[RenderableType]:
    numbers = (
        Column("asked", 5, is_number=True),
        Column("used", 4, is_number=True),
        Column("could see" if found.base is not None else "decides", 9, is_number=True),
        Column("unchanged" if found.base is not None else "interval", 9, is_number=True),
        Column("tolerance", 9, is_number=True),
        Column("needs", 6, is_number=True),
    )
    yield Text(_headline(found), style="bold", overflow="fold")
    yield head((*_NAMES, *numbers), width=width)
    for name, rows in grouped(found.rows, lambda row: row.id).items():
        about = Text(plain(name), style="bold cyan", no_wrap=True, overflow="ellipsis")
        yield about.append(f"  {plain(rows[0].reading)}", "dim")
        for row in rows:
            yield _row(row, numbers, width)
    yield Text()
    yield Text(needed(found), style="bold", overflow="fold")
    yield Text(could_have_seen(found), style="bold", overflow="fold")


def _headline(found: Power) -> str:
    whom = f" against {plain(found.base)}" if found.base is not None else ""
    return (
        f"{plain(found.name)}{whom}; alpha {found.alpha:g}, power {100 * found.power:g}%, images "
        "of a task"
    )


def _row(row: RowPower, numbers: Sequence[Column], width: int) -> RenderableType:
    sign = SIGNS.get(row.verdict)
    verdict = Text(f"{sign.page} {row.verdict}", style=sign.style) if sign else Text(row.verdict)
    names: list[str | Text] = [plain(row.task, 11), verdict]
    if row.needs is None:
        reason = Text(plain(row.reason), style="dim")
        return table([*_NAMES, _WORDS], [[*names, reason]], width=width)
    cells = [
        str(row.images),
        f"{row.used:.0f}",
        number(row.could_see, row.unit),
        f"+-{number(row.could_show, row.unit)}",
        f"+-{formatted(row.tolerance, row.unit)}",
        str(row.needs),
    ]
    return table([*_NAMES, *numbers], [[*names, *cells]], width=width)

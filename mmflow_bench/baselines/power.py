"""What a comparison could have seen, and how many images each of its rows and the gate need.

The same for the verdicts of a run by themselves: how far beside a threshold they are decided, and
how many images make their intervals as narrow as the tolerance (docs/decisions/026).
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from mmflow_bench.baselines.paired_records import BaselineComparison, ComparedRow
from mmflow_bench.baselines.tolerances import DECIDED
from mmflow_bench.statistics.power import (
    MOST_IMAGES,
    POWER,
    chance_of_at_least,
    chance_of_unchanged,
    images_for_unchanged,
    smallest_change,
    smallest_margin,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPower:
    """What the images of one row tell, and how many it needs."""

    id: str
    task: str
    verdict: str
    reading: str = ""
    unit: str = ""
    tolerance: float | None = None
    images: int | None = None
    """Images of the task that were asked, also those that could not be used."""
    used: float | None = None
    """Images that the row rests on."""
    spread: float | None = None
    """Standard deviation of the row's number from image to image."""
    could_see: float | None = None
    """The smallest change, or distance from the threshold, that would have been decided."""
    could_show: float | None = None
    """The smallest tolerance within which no change would have been shown; half the width of the
    interval of a verdict by itself."""
    needs: int | None = None
    """Images of the task to ask, at the share of them that could be used here."""
    reason: str = ""
    """Why there is no number."""

    @property
    def scale(self) -> float:
        """Images to ask for each one that can be used."""
        return self.images / self.used if self.images and self.used else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """All rows of a comparison, or all verdicts of a run, and what they need together."""

    name: str
    base: str | None
    """None where a run was not compared."""
    alpha: float
    power: float
    decided: float
    rows: tuple[RowPower, ...]
    needs: int | None = None
    """Images per task from which the share `decided` of the rows is decided, with the probability
    `power`; None where no row can be planned."""

    @property
    def known(self) -> tuple[RowPower, ...]:
        return tuple(row for row in self.rows if row.could_see is not None)

    def could_see(self, rows: Sequence[RowPower]) -> float:
        """The change that would have been seen on the share `decided` of some rows."""
        sizes = sorted(row.could_see for row in rows if row.could_see is not None)
        return sizes[required(len(sizes), self.decided) - 1]

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"


def power_of_comparison(
    found: BaselineComparison,
    *,
    tolerance: Mapping[str, float] | None = None,
    alpha: float | None = None,
    power: float = POWER,
    decided: float = DECIDED,
) -> Power:
    """What a comparison could have seen, and what it needs.

    Args:
        found: The comparison.
        tolerance: Margin by unit; those of the comparison when None.
        alpha: Error rate; that of the comparison when None.
        power: How often what is there is to be found.
        decided: Share of the rows that have to be decided.
    """
    level = alpha or found.alpha
    totals = {
        pairs.task: pairs.both + pairs.base_only + pairs.tuned_only + pairs.neither
        for pairs in found.tasks
    }
    tests = max(1, sum(row.p_changed is not None for row in found.rows))
    rows = tuple(
        _compared(
            row,
            margin=(tolerance or {}).get(row.unit, row.margin),
            total=totals.get(row.task, 0),
            tests=tests,
            level=level,
            power=power,
        )
        for row in found.rows
    )
    return Power(
        name=found.name,
        base=found.base,
        alpha=level,
        power=power,
        decided=decided,
        rows=rows,
        needs=_together(rows, alpha=level, power=power, decided=decided),
    )


def _compared(
    row: ComparedRow, *, margin: float | None, total: int, tests: int, level: float, power: float
) -> RowPower:
    blank = RowPower(
        id=row.id,
        task=row.task,
        verdict=row.verdict,
        reading=row.reading,
        unit=row.unit,
        tolerance=margin,
        reason=row.reason,
    )
    if row.error is None or not margin or not row.images or not row.n:
        return replace(blank, reason=row.reason or "no interval")
    scale = max(1.0, total / row.n)
    spread = row.error * math.sqrt(row.images)
    used = images_for_unchanged(spread, margin, alpha=level, power=power)
    return replace(
        blank,
        images=round(scale * row.images),
        used=row.images,
        spread=spread,
        could_see=smallest_change(
            row.error, margin, row.images, alpha=level, power=power, tests=tests
        ),
        could_show=smallest_margin(row.error, row.images, alpha=level, power=power),
        needs=math.ceil(scale * used - 1e-9),
    )


def _together(
    rows: Sequence[RowPower], *, alpha: float, power: float, decided: float
) -> int | None:
    """Images per task from which enough rows are `unchanged` where nothing has changed."""
    known = [row for row in rows if row.needs is not None]
    if not known:
        return None
    enough = required(len(known), decided)

    def chance(images: int) -> float:
        chances = [
            chance_of_unchanged(
                row.spread or 0.0, row.tolerance or 0.0, images / row.scale, alpha=alpha
            )
            for row in known
        ]
        return chance_of_at_least(chances, enough)

    # Sixteen times what each row needs leaves no row undecided.
    most = min(16 * max(row.needs or 1 for row in known), 16 * MOST_IMAGES)
    return bisect_left(range(most), power, key=chance)


def required(rows: int, decided: float) -> int:
    """How many of some rows the share `decided` is; one at least.

    >>> required(10, 0.8), required(11, 0.8), required(1, 0.1)
    (8, 9, 1)
    """
    return max(1, math.ceil(decided * rows - 1e-9))

"""What the verdicts of a run by themselves could have seen, and how many images they need.

An interval shrinks with the root of the number of images, and a verdict is decided where the whole
interval lies to one side of its threshold (docs/decisions/026).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy.special import ndtri

from mmflow_bench.baselines.power import Power, RowPower, required
from mmflow_bench.baselines.tolerances import DECIDED
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.records import AnswerRow
from mmflow_bench.runs.rows import ALL, MechanismRow
from mmflow_bench.statistics.power import POWER
from mmflow_bench.statistics.unseen import images_to_show, unseen_share

_EQUIVALENCE = "+-"
"""How the threshold of a row begins whose interval is the 1 - 2 alpha one."""


def power_of_verdicts(
    record: RunRecord,
    *,
    tolerance: Mapping[str, float],
    power: float = POWER,
    decided: float = DECIDED,
) -> Power:
    """How far beside its threshold each verdict could have been decided, and what it needs.

    Args:
        record: The run; its intervals have the error rate that it was made with.
        tolerance: By unit, how far an interval may reach to either side.
        power: How often what is there is to be found.
        decided: Share of the rows that have to be decided.
    """
    asked = _asked(record.answers)
    rows = power_of_rows(
        record.rows, asked=asked, tolerance=tolerance, alpha=record.alpha, power=power
    )
    needs = sorted(row.needs for row in rows if row.needs is not None)
    return Power(
        name=record.name,
        base=None,
        alpha=record.alpha,
        power=power,
        decided=decided,
        rows=rows,
        needs=needs[required(len(needs), decided) - 1] if needs else None,
    )


def power_of_rows(
    rows: Sequence[MechanismRow],
    *,
    asked: Mapping[str, tuple[int, int]],
    tolerance: Mapping[str, float],
    alpha: float,
    power: float = POWER,
) -> tuple[RowPower, ...]:
    """The rows of a run by themselves; `asked` has images and samples of a task."""
    return tuple(
        _own(row, asked.get(row.task), tolerance, alpha=alpha, power=power)
        for row in rows
        # No number of images makes a mechanism one of this checkpoint, or asks for a threshold.
        if row.verdict not in {Verdict.NOT_APPLICABLE, Verdict.REPORT}
    )


def _own(
    row: MechanismRow,
    asked: tuple[int, int] | None,
    tolerance: Mapping[str, float],
    *,
    alpha: float,
    power: float,
) -> RowPower:
    margin = tolerance.get(row.unit)
    blank = RowPower(
        id=row.id,
        task=row.task,
        verdict=row.verdict,
        reading=row.name,
        unit=row.unit,
        tolerance=margin,
    )
    if row.low is None or row.high is None or not row.n:
        return replace(blank, reason=row.reason or "no interval")
    if not margin:
        return replace(blank, reason="no tolerance for this unit")
    images, samples = asked or (row.n, row.n)
    share = min(1.0, row.n / samples)
    used, half = images * share, (row.high - row.low) / 2
    z = -float(ndtri(alpha if row.threshold.startswith(_EQUIVALENCE) else alpha / 2))
    unseen = unseen_share(used, alpha=alpha)
    narrow = images * (half / margin) ** 2
    return replace(
        blank,
        images=images,
        used=used,
        spread=half / z * math.sqrt(used),
        could_see=max(half * (z + float(ndtri(power))) / z, unseen),
        could_show=max(half, unseen),
        needs=math.ceil(max(narrow, images_to_show(margin, alpha=alpha) / share) - 1e-9),
    )


def _asked(answers: Sequence[AnswerRow]) -> dict[str, tuple[int, int]]:
    """Images and samples of every task, and of the largest under the name of all."""
    images: dict[str, set[str]] = {}
    samples: dict[str, int] = {}
    for row in answers:
        images.setdefault(row["task"], set()).add(row["image_id"])
        samples[row["task"]] = samples.get(row["task"], 0) + 1
    found = {task: (len(names), samples[task]) for task, names in images.items()}
    return found | ({ALL: max(found.values())} if found else {})

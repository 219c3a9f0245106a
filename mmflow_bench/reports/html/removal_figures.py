"""Fig. 14 redrawn: what is left of the answers, and what is saved, by where the image leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, drawn
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import grouped
from mmflow_bench.runs.tables import RemovalRow

_GONE = {
    "image": "The image",
    "unrelated": "Patches that show nothing of what is asked about",
}


def removal_figures(record: RunRecord) -> Iterator[Figure]:
    """A figure for each kind of removal that was measured."""
    for removed, rows in grouped(record.removal, lambda row: row["removed"]).items():
        panels = [
            Panel(title=task, series=tuple(_series(of_task, record.alpha)))
            for task, of_task in by_task(rows, lambda row: row["task"]).items()
        ]
        yield Figure(
            id=f"removal-{removed}",
            title=f"{_GONE[removed]} removed from a layer on (Fig. 14)",
            caption="Share of right answers, probability of the answer that is followed, and the "
            "share of the decoder's operations and of its cache that is saved.",
            y_label="share",
            x_label="first layer without the image",
            panels=tuple(panels),
            is_folded=removed != "image",
        )


def _series(rows: Sequence[RemovalRow], alpha: float) -> Iterator[Series]:
    layers = rows[0]["first_layer"]
    right = np.array([row["is_correct"] for row in rows], float)
    chances = np.array([row["probability"] for row in rows], float)
    followed = [row["is_followed"] for row in rows]
    saved = [
        1 - costs / costs[:, -1:]
        for costs in (
            np.array([row["operations"] for row in rows], float),
            np.array([row["cache_bytes"] for row in rows], float),
        )
    ]
    found = (
        ("accuracy", right, [True] * len(rows)),
        ("probability", chances, followed),
        ("operations saved", saved[0], [True] * len(rows)),
        ("cache saved", saved[1], [True] * len(rows)),
    )
    for style, (name, values, kept) in enumerate(found):
        images = [row["image_id"] for row, is_kept in zip(rows, kept, strict=True) if is_kept]
        series = drawn(name, values[np.array(kept)], images, style=style, alpha=alpha)
        if series.values:
            yield _spread(series, layers)


def _spread(series: Series, layers: Sequence[int]) -> Series:
    """The same over all layers, with nothing where the image was not removed from."""

    def everywhere(values: Sequence[float]) -> tuple[float, ...]:
        known = dict(zip(layers, values, strict=True)) if values else {}
        return tuple(known.get(layer, math.nan) for layer in range(layers[-1] + 1)) if known else ()

    return replace(
        series,
        values=everywhere(series.values),
        low=everywhere(series.low),
        high=everywhere(series.high),
    )

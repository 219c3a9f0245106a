"""Fig. 14 redrawn: what is left of the answers, and what is saved, by where the image leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, drawn
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.records import RemovalRow
from mmflow_bench.runs.rows import grouped

_LISTS: tuple[Literal["is_correct", "probability", "operations", "cache_bytes"], ...] = (
    "is_correct",
    "probability",
    "operations",
    "cache_bytes",
)
_GONE = {
    "image": "The image",
    "unrelated": "Patches that show nothing of what is asked about",
}


def removal_figures(record: RunRecord) -> Iterator[Figure]:
    """A figure for each kind of removal that was measured."""
    kinds = grouped(record.removal, lambda row: row["removed"])
    for removed, gone in _GONE.items():
        tasks = by_task(kinds.get(removed, ()), lambda row: row["task"])
        panels = [
            Panel(title=task, series=series)
            for task, rows in tasks.items()
            if (series := tuple(_series(rows, record.alpha)))
        ]
        if panels:
            yield Figure(
                id=f"removal-{removed}",
                title=f"{gone} removed from a layer on (Fig. 14)",
                caption="Share of right answers, probability of the answer that is followed, and "
                "the share of the decoder's operations and of its cache that is saved.",
                y_label="share",
                x_label="first layer without the image",
                panels=tuple(panels),
                is_folded=removed != "image",
            )


def _series(rows: Sequence[RemovalRow], alpha: float) -> Iterator[Series]:
    layers, images = rows[0]["first_layer"], [row["image_id"] for row in rows]
    lists = [row[name] for row in rows for name in _LISTS]
    # Whoever else has written a table may have given its columns lists of any length.
    if not layers or any(len(one) != len(layers) for one in lists):
        return
    right, chances, operations, cached = (
        np.array([row[name] for row in rows], float) for name in _LISTS
    )
    # An answer that is not followed has no probability here.
    chances[[not row["is_followed"] for row in rows]] = np.nan
    curves = {
        "accuracy": right,
        "probability": chances,
        "operations saved": _saved(operations),
        "cache saved": _saved(cached),
    }
    for style, (name, values) in enumerate(curves.items()):
        series = drawn(name, values, images, style=style, alpha=alpha)
        if series.values:
            yield _spread(series, layers)


def _saved(cost: Float[ndarray, "sample layer"]) -> Float[ndarray, "sample layer"]:
    """The share that is saved; no number where nothing was spent to begin with."""
    whole = cost[:, -1:]
    saved: Float[ndarray, "sample layer"] = 1 - cost / np.where(whole > 0, whole, np.nan)
    return saved


def _spread(series: Series, layers: Sequence[int]) -> Series:
    """The same over all layers, with nothing where the image was not removed from."""

    def everywhere(values: Sequence[float]) -> tuple[float, ...]:
        known = dict(zip(layers, values, strict=True)) if values else {}
        places = range(max(layers) + 1) if known else ()
        return tuple(known.get(layer, math.nan) for layer in places)

    return replace(
        series,
        values=everywhere(series.values),
        low=everywhere(series.low),
        high=everywhere(series.high),
    )

"""First and last sub-word of the answer side by side (paper, App. C, Figs. 9 to 11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, drawn
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.tables import SweepRow

_FIGURES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pieces-into-last": (
        "What the last position reads, first and last sub-word (Fig. 9)",
        ("question->last", "image->last", "last->last"),
    ),
    "pieces-image-to-question": (
        "From the image to the question, first and last sub-word (Fig. 10)",
        ("image->question",),
    ),
    "pieces-patches-to-question": (
        "Related and other patches, first and last sub-word (Fig. 11)",
        ("related_patches->question", "other_patches->question"),
    ),
}


def piece_figures(record: RunRecord, *, window: int, y_label: str) -> Iterator[Figure]:
    """A figure for each group of edges that was read at the last piece of some answer.

    Both sides are of the samples whose answers have several pieces, in windows of `window` layers.
    """
    last = [row for row in record.pieces if row["window"] == window]
    asked = {_place(row) for row in last}
    first = [row for row in record.samples if _place(row) in asked] if asked else []
    for name, (title, edges) in _FIGURES.items():
        pieces = {"first": by_task(first, _task), "last": by_task(last, _task)}
        panels = [
            Panel(title=f"{task}, {piece} sub-word", series=series)
            for task in pieces["last"]
            for piece, of_task in pieces.items()
            if (series := _series(of_task.get(task, ()), edges, record.alpha))
        ]
        yield Figure(
            id=name,
            title=title,
            caption="Relative change of the probability of the first and of the last sub-word, of "
            f"answers that have several. Windows of {window} layers.",
            y_label=y_label,
            panels=tuple(panels),
            is_folded=True,
        )


def _series(rows: Sequence[SweepRow], edges: Sequence[str], alpha: float) -> tuple[Series, ...]:
    """The mean curve of each edge; an edge has one style on either side."""
    return tuple(
        drawn(
            edge.replace("->", " → "),
            np.array([row["relative_change"] for row in chosen], dtype=float),
            [row["image_id"] for row in chosen],
            style=style,
            alpha=alpha,
        )
        for style, edge in enumerate(edges)
        if (chosen := [row for row in rows if row["edge"] == edge])
    )


def _task(row: SweepRow) -> str:
    return row["task"]


def _place(row: SweepRow) -> tuple[str, str, str, int, str]:
    """What tells sweeps apart, whichever piece they are read at."""
    return row["task"], row["edge"], row["method"], row["window"], row["question_id"]

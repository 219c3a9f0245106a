"""The samples that a report shows: what was asked, answered and seen, and their own curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task
from mmflow_bench.reports.html.paper_figures import CHANGE, MASKED, main_width, shown_edge
from mmflow_bench.reports.html.thumbnails import thumbnails
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import grouped
from mmflow_bench.runs.tables import Patches, QuestionRow, SweepRow

PER_TASK = 14
"""Samples shown of each task, spread evenly over its file."""
MOST_EDGES = 8
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """One sample as the browser shows it."""

    row: QuestionRow
    picture: str | None
    """A data URI."""
    overlay: Markup
    """Boxes and related patches, in the shape of the picture."""
    figure: Figure | None
    """The sample's own curves, in one panel."""


def shown_samples(record: RunRecord) -> list[ShownSample]:
    """Samples of every task, with pictures where they are still found."""
    asked = by_task(record.questions, lambda row: row["task"])
    rows = [row for of_task in asked.values() for row in spread(of_task)]
    pictures = thumbnails(record, rows)
    width = main_width(record)
    cut = (one for one in record.samples if (one["method"], one["window"]) == (MASKED, width))
    curves = grouped(cut, lambda one: (one["task"], one["question_id"]))
    return [
        ShownSample(
            row=row,
            picture=pictures.get(row["image_id"]),
            overlay=overlay(row),
            figure=_own_figure(row, curves.get((row["task"], row["question_id"]), [])),
        )
        for row in rows
    ]


def spread(rows: Sequence[Item], most: int = PER_TASK) -> list[Item]:
    """At most so many rows, evenly over all of them.

    >>> spread(range(9), most=3)
    [0, 3, 6]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


def overlay(row: QuestionRow) -> Markup:
    """Boxes of the objects and the patches that overlap them, in shares of the picture."""
    grid = row["patches"]
    width = row["image_width"] or (grid["width"] if grid else None)
    height = row["image_height"] or (grid["height"] if grid else None)
    if not width or not height:
        return Markup("")
    patches = [_patch(cell, grid) for cell in grid["related"]] if grid else []
    boxes = [
        _rectangle("box", x / width, y / height, w / width, h / height)
        for x, y, w, h in row["boxes"] or ()
    ]
    return Markup("").join([*patches, *boxes])


def _patch(cell: int, grid: Patches) -> Markup:
    row, column = divmod(cell, grid["columns"])
    return _rectangle(
        "patch",
        (grid["left"] + column * grid["cell_width"]) / grid["width"],
        (grid["top"] + row * grid["cell_height"]) / grid["height"],
        grid["cell_width"] / grid["width"],
        grid["cell_height"] / grid["height"],
    )


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    numbers = [f"{100 * value:.2f}" for value in (x, y, width, height)]
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(kind, *numbers)


def _own_figure(row: QuestionRow, sweeps: Sequence[SweepRow]) -> Figure | None:
    strongest = sorted(
        sweeps, key=lambda one: (min(one["relative_change"], default=0), one["edge"])
    )
    series = tuple(
        Series(
            name=shown_edge(one["edge"]),
            values=tuple(round(value, 6) for value in one["relative_change"]),
            style=style,
            samples=1,
        )
        for style, one in enumerate(strongest[:MOST_EDGES])
    )
    if not series:
        return None
    panel = Panel(title=f"sample {row['question_id']}", series=series)
    return Figure(id="", title="", caption="", y_label=CHANGE, panels=(panel,))

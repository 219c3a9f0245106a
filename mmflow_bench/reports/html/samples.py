"""The samples that a report shows: what was asked, answered and seen, and their own curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task
from mmflow_bench.reports.html.paper_figures import CHANGE, MASKED, main_width
from mmflow_bench.reports.html.thumbnails import thumbnails
from mmflow_bench.runs.reading import RunRecord

PER_TASK = 14
"""Samples shown of each task, spread evenly over its file."""
MOST_EDGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSample:
    """One sample as the browser shows it."""

    task: str
    question_id: str
    image_id: str
    question: str
    answer: str
    prediction: str
    is_correct: bool
    picture: str | None
    """A data URI."""
    overlay: Markup
    """Boxes and related patches, in the shape of the picture."""
    figure: Figure | None
    """The sample's own curves."""

    @property
    def panel(self) -> Panel | None:
        """The one panel of its figure."""
        return self.figure.panels[0] if self.figure else None


def shown_samples(record: RunRecord) -> tuple[ShownSample, ...]:
    """Samples of every task, with pictures where they are still found."""
    rows = [row for of_task in by_task(record.questions).values() for row in spread(of_task)]
    pictures = thumbnails(record, rows)
    curves = _curves(record)
    return tuple(_shown(row, pictures, curves) for row in rows)


def spread(rows: Sequence[Mapping[str, Any]], most: int = PER_TASK) -> list[Mapping[str, Any]]:
    """At most so many rows, evenly over all of them.

    >>> [row["i"] for row in spread([{"i": i} for i in range(9)], most=3)]
    [0, 3, 6]
    """
    if len(rows) <= most:
        return list(rows)
    return [rows[i * len(rows) // most] for i in range(most)]


def overlay(row: Mapping[str, Any]) -> Markup:
    """Boxes of the objects and the patches that overlap them, in shares of the picture."""
    grid = row.get("patches") or {}
    width = row["image_width"] or grid.get("width")
    height = row["image_height"] or grid.get("height")
    if not width or not height:
        return Markup("")
    patches = [_patch(cell, grid) for cell in grid.get("related", ())]
    boxes = [
        _rectangle("box", x / width, y / height, w / width, h / height)
        for x, y, w, h in row["boxes"] or ()
    ]
    return Markup("").join([*patches, *boxes])


def _patch(cell: int, grid: Mapping[str, Any]) -> Markup:
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


def _curves(record: RunRecord) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    width = main_width(record)
    curves: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in record.samples:
        if row["method"] == MASKED and row["window"] == width:
            curves.setdefault((row["task"], row["question_id"]), []).append(row)
    return curves


def _shown(
    row: Mapping[str, Any],
    pictures: Mapping[str, str],
    curves: Mapping[tuple[str, str], list[Mapping[str, Any]]],
) -> ShownSample:
    return ShownSample(
        task=row["task"],
        question_id=row["question_id"],
        image_id=row["image_id"],
        question=row["question"],
        answer=row["answer"],
        prediction=row["prediction"] or "",
        is_correct=bool(row["is_correct"]),
        picture=pictures.get(row["image_id"]),
        overlay=overlay(row),
        figure=_own_figure(row, curves.get((row["task"], row["question_id"]), [])),
    )


def _own_figure(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    strongest = sorted(rows, key=lambda one: (min(one["relative_change"], default=0), one["edge"]))
    series = tuple(
        Series(
            name=one["edge"].replace("->", " → "),
            values=tuple(round(float(value), 6) for value in one["relative_change"]),
            style=style,
            samples=1,
        )
        for style, one in enumerate(strongest[:MOST_EDGES])
    )
    if not series:
        return None
    panel = Panel(title=f"sample {row['question_id']}", series=series)
    return Figure(id="", title="", caption="", y_label=CHANGE, panels=(panel,))

"""A photo in blocks: which image positions show each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """A rectangle of the photo, in its pixels, with the image positions whose patches show it."""

    row: int
    column: int
    left: float
    top: float
    width: float
    height: float
    positions: tuple[int, ...]
    """Of the sequence, ascending."""


def areas(layout: ImageLayout, image: Sequence[int], *, side: int) -> list[Area]:
    """The photo in at most `side` x `side` equal areas, row by row.

    A patch belongs to the area that its middle lies in, in every view of the photo; what shows
    padding or ends a row belongs to none. An area that no patch shows is left out: it was cropped
    away.

    Args:
        layout: What the image positions show.
        image: The image positions of the sequence, ascending.
        side: Areas from left to right and from top to bottom; no more than a view has patches.
    """
    if not layout.grids:
        return []
    first = layout.grids[0]
    rows = min(side, max(grid.rows for grid in layout.grids))
    columns = min(side, max(grid.columns for grid in layout.grids))
    width, height = first.horizontal.original, first.vertical.original
    found: dict[tuple[int, int], list[int]] = {}
    for grid in layout.grids:
        for (x, y), token in _middles(grid):
            if 0 <= x < width and 0 <= y < height:
                cell = int(rows * y / height), int(columns * x / width)
                found.setdefault(cell, []).append(image[token])
    return [
        Area(
            row=row,
            column=column,
            left=column * width / columns,
            top=row * height / rows,
            width=width / columns,
            height=height / rows,
            positions=tuple(sorted(positions)),
        )
        for (row, column), positions in sorted(found.items())
    ]


def together(area: Area, areas: Sequence[Area], reach: int) -> tuple[int, ...]:
    """The image positions of an area and of those that are at most `reach` from it.

    What is asked about mostly lies in several areas, and any of them may be enough to answer: as
    with single layers, one of them alone then shows nothing.
    """
    near = (
        one
        for one in areas
        if abs(one.row - area.row) <= reach and abs(one.column - area.column) <= reach
    )
    return tuple(sorted({position for one in near for position in one.positions}))


def _middles(grid: PatchGrid) -> Iterator[tuple[tuple[float, float], int]]:
    """Where the middle of every patch lies in the photo, and its image position."""
    for row in range(grid.rows):
        for column in range(grid.columns):
            x = _original(grid.horizontal, column, grid.patch_size)
            yield (x, _original(grid.vertical, row, grid.patch_size)), grid.token(row, column)


def _original(axis: Axis, index: int, patch_size: int) -> float:
    return ((index + 0.5) * patch_size - axis.offset) / axis.scale

"""Patches chosen for what they are not: drawn at random, or showing nothing of the photo."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid

_ROUNDING = 1e-6
"""Patches that the photo touches by less count as touched by none of it."""


def matched(positions: Iterable[int], *, count: int, content: str) -> list[int]:
    """`count` of some positions, drawn without replacement.

    The draw depends on `content` and the positions alone, on every machine and in every version of
    Python: positions are ranked by a hash of both.

    >>> matched(range(10), count=3, content="a") == matched(range(9, -1, -1), count=3, content="a")
    True
    """

    def rank(position: int) -> tuple[bytes, int]:
        return sha256(f"{position} {content}".encode(errors="replace")).digest(), position

    return sorted(positions, key=rank)[:count]


def patches_of_padding(layout: ImageLayout) -> list[int]:
    """Patches that show nothing of the photo, counted from the first image position."""
    return [
        grid.token(row, column)
        for grid in layout.grids
        for row in range(grid.rows)
        for column in range(grid.columns)
        if not _shows_photo(grid, row, column)
    ]


def _shows_photo(grid: PatchGrid, row: int, column: int) -> bool:
    return _overlaps(grid.vertical, row, grid.patch_size) and _overlaps(
        grid.horizontal, column, grid.patch_size
    )


def _overlaps(axis: Axis, index: int, patch_size: int) -> bool:
    """Whether a row or column of patches has a part of the photo."""
    first, last = axis.offset, axis.original * axis.scale + axis.offset
    start, end = index * patch_size, (index + 1) * patch_size
    return min(last, end) - max(first, start) > _ROUNDING * patch_size

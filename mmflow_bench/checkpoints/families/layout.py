"""Which image position shows which pixels of a photo: grids of patches and the newlines between.

A photo may be seen several times, as a whole and in tiles. Every view is one grid with its own
mapping from the pixels of the photo; the grids say which of the image positions are theirs, counted
from the first image position of the sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from transformers import PretrainedConfig

from mmflow_bench.checkpoints.aliases import ImageProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of the mapping: processed = original * scale + offset."""

    original: int
    """Pixels of the photo."""
    scale: float
    offset: float
    processed: int
    """Pixels of the view that the grid covers."""

    def cut(self, *, before: int, after: int) -> Axis:
        """The same without so many processed pixels at either end."""
        return Axis(
            original=self.original,
            scale=self.scale,
            offset=self.offset - before,
            processed=self.processed - before - after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchGrid:
    """Where the pixels of a photo land in one grid of patches, and at which image positions."""

    horizontal: Axis
    vertical: Axis
    patch_size: int
    """Processed pixels per side of what one image position shows."""
    first_token: int = 0
    """Image position of the patch at the top left, counted from the first image position."""
    row_tokens: int | None = None
    """Image positions from one row to the next, where it is not the number of columns."""
    view: int = 0
    """Which of the processed images the grid is of, where the photo becomes several."""
    top: int = 0
    """Pixels of that view above the first row of patches."""
    left: int = 0
    """Pixels of that view left of the first column of patches."""

    @property
    def rows(self) -> int:
        return self.vertical.processed // self.patch_size

    @property
    def columns(self) -> int:
        return self.horizontal.processed // self.patch_size

    def token(self, row: int, column: int) -> int:
        """The image position of a patch, counted from the first image position."""
        # A newline may follow every row, and a row of tiles spans several grids.
        per_row = self.columns if self.row_tokens is None else self.row_tokens
        return self.first_token + row * per_row + column


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLayout:
    """What every image position of one photo shows."""

    grids: tuple[PatchGrid, ...]
    newlines: tuple[int, ...] = ()
    """Positions that end a row of patches, counted from the first image position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessedImage:
    """One photo after its processor: everything that a layout is found from."""

    width: int
    """Of the photo, in pixels."""
    height: int
    """Of the photo, in pixels."""
    image_processor: ImageProcessor
    """Its settings are read, not its name."""
    config: PretrainedConfig
    """Of the model."""
    model_inputs: Mapping[str, Tensor]
    """What the processor made of the photo."""
    image_tokens: int
    """Positions of the sequence that carry image features."""


def whole_grid(
    image: ProcessedImage, *, height: int, width: int, patch_size: int
) -> ImageLayout | None:
    """One grid over the photo stretched to `height` x `width` pixels."""
    grid = PatchGrid(
        horizontal=_stretched(image.width, width, start=0, length=width),
        vertical=_stretched(image.height, height, start=0, length=height),
        patch_size=patch_size,
    )
    if grid.rows * grid.columns != image.image_tokens:
        return None
    return ImageLayout(grids=(grid,))


def tiled_grids(
    image: ProcessedImage, views: Tensor, *, rows: int, columns: int
) -> ImageLayout | None:
    """Tiles row by row, then the whole photo; every view is a square of as many positions."""
    count, height, width = views.shape[0], views.shape[-2], views.shape[-1]
    per_view, rest = divmod(image.image_tokens, count)
    side = square_side(per_view)
    if rest or side is None or height != width or height % side or rows * columns + 1 != count:
        return None
    places = [(row, column, rows, columns) for row in range(rows) for column in range(columns)]
    grids = tuple(
        PatchGrid(
            horizontal=_stretched(image.width, across * width, start=column * width, length=width),
            vertical=_stretched(image.height, down * height, start=row * height, length=height),
            patch_size=height // side,
            first_token=number * per_view,
            view=number,
        )
        for number, (row, column, down, across) in enumerate([*places, (0, 0, 1, 1)])
    )
    return ImageLayout(grids=grids)


def square_side(count: object) -> int | None:
    if not isinstance(count, int) or count < 1:
        return None
    side = math.isqrt(count)
    return side if side * side == count else None


def _stretched(original: int, whole: int, *, start: int, length: int) -> Axis:
    """The photo stretched over `whole` pixels, seen from `start` on for `length`."""
    return Axis(original=original, scale=whole / original, offset=float(-start), processed=length)

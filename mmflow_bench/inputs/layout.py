"""Which image position shows which pixels of a photo: grids of patches and the newlines between.

A photo may be seen several times, as a whole and in tiles. Every view is one grid with its own
mapping from the pixels of the photo; the grids say which of the image positions are theirs, counted
from the first image position of the sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


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
        """Rows of patches."""
        return self.vertical.processed // self.patch_size

    @property
    def columns(self) -> int:
        """Patches per row."""
        return self.horizontal.processed // self.patch_size

    def token(self, row: int, column: int) -> int:
        """The image position of a patch, counted from the first image position."""
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
    image_processor: Any
    """Its settings are read, not its name."""
    config: Any
    """Of the model."""
    model_inputs: Mapping[str, Tensor]
    """What the processor made of the photo."""
    image_tokens: int
    """Positions of the sequence that carry image features."""

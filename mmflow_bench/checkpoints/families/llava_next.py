"""LLaVA-NeXT: a photo is seen as a whole and in tiles, as in OneVision.

The whole photo is squeezed to one tile. Then it is scaled to fit the grid of tiles that wastes
least, padded on both sides and cut; rows or columns of patches that show nothing but padding are
removed again, the same number on both sides, so that an odd remainder keeps one of padding. A
newline position ends each row of the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from transformers import (
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid, ProcessedImage
from mmflow_bench.checkpoints.families.llava import processor_settings
from mmflow_bench.checkpoints.families.record import Converted, Family

_DOWNSCALED_ABOVE = 1.1
"""OneVision shrinks features of grids whose side exceeds its maximum by this factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiles:
    """The grid of tiles of one photo, in patches after unpadding."""

    side: int
    """Pixels per side of a tile."""
    patch_size: int
    horizontal: Axis
    """Over all tiles, padding included."""
    vertical: Axis
    cut_rows: int
    """Rows of patches removed at the top, and as many at the bottom."""
    cut_columns: int

    @property
    def per_tile(self) -> int:
        """Patches per side of a tile; pixels beyond the last whole patch are not seen."""
        return self.side // self.patch_size

    @property
    def count(self) -> int:
        """Tiles, the squeezed photo not counted."""
        return (self.horizontal.processed // self.side) * (self.vertical.processed // self.side)

    @property
    def rows(self) -> int:
        return self.vertical.processed // self.side * self.per_tile - 2 * self.cut_rows

    @property
    def columns(self) -> int:
        return self.horizontal.processed // self.side * self.per_tile - 2 * self.cut_columns


def tiled_tokens(config: PretrainedConfig, *, width: int, height: int, side: int) -> int:
    """Image positions of one photo, with tiles of `side` pixels: base grid, tiles and newlines."""
    tiles = _tiles(config, width=width, height=height, side=side)
    rows, columns = _downscaled(config, tiles)
    return tiles.per_tile**2 + rows * (columns + 1)


def anyres_layout(image: ProcessedImage) -> ImageLayout | None:
    """The base grid, one grid for every tile, and the newlines; None where that is not the layout.

    OneVision interpolates between patches when a photo has very many: no position shows one patch
    then, and there is no layout.
    """
    pixels = image.model_inputs.get("pixel_values")
    is_tiled = bool(getattr(image.config, "image_grid_pinpoints", None))
    if not is_tiled or pixels is None or pixels.ndim != 5 or len(pixels) != 1:
        return None
    size = {"width": image.width, "height": image.height}
    tiles = _tiles(image.config, **size, side=pixels.shape[-1])
    # A position of shrunk features shows parts of several patches.
    if _downscaled(image.config, tiles) != (tiles.rows, tiles.columns):
        return None
    patches = tiles.per_tile**2
    # A processor that tiles otherwise than the model packs: positions could not be trusted.
    if (
        tiles.count + 1 != pixels.shape[1]
        or patches + tiles.rows * (tiles.columns + 1) != image.image_tokens
    ):
        return None
    base = PatchGrid(
        horizontal=_squeezed(image.width, tiles),
        vertical=_squeezed(image.height, tiles),
        patch_size=tiles.patch_size,
    )
    ends = (patches + (row + 1) * (tiles.columns + 1) - 1 for row in range(tiles.rows))
    return ImageLayout(grids=(base, *_tile_grids(tiles, patches)), newlines=tuple(ends))


def _squeezed(original: int, tiles: _Tiles) -> Axis:
    whole = Axis(original=original, scale=tiles.side / original, offset=0.0, processed=tiles.side)
    return whole.cut(before=0, after=tiles.side % tiles.patch_size)


def _tiles(config: PretrainedConfig, *, width: int, height: int, side: int) -> _Tiles:
    # The model packs by the pinpoints of its configuration, whatever the processor has done.
    high, wide = select_best_resolution((height, width), config.image_grid_pinpoints)
    patch_size = config.vision_config.patch_size
    horizontal, vertical = _fitted(width, height, wide, high)
    rows, columns = (length // side * (side // patch_size) for length in (high, wide))
    cut_rows, cut_columns = _unpadded(width, height, rows=rows, columns=columns)
    return _Tiles(
        side=side,
        patch_size=patch_size,
        horizontal=horizontal,
        vertical=vertical,
        cut_rows=cut_rows,
        cut_columns=cut_columns,
    )


def _fitted(width: int, height: int, wide: int, high: int) -> tuple[Axis, Axis]:
    """The photo scaled into `wide` x `high` pixels and centred there; lengths are rounded up."""
    if wide / width < high / height:
        new_width, new_height = wide, min(math.ceil(height * (wide / width)), high)
    else:
        new_width, new_height = min(math.ceil(width * (high / height)), wide), high
    return _centred(width, new_width, wide), _centred(height, new_height, high)


def _centred(original: int, resized: int, target: int) -> Axis:
    offset = float((target - resized) // 2)
    return Axis(original=original, scale=resized / original, offset=offset, processed=target)


def _unpadded(width: int, height: int, *, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of patches that unpadding removes at either side."""
    # The rounding is that of transformers, which guards the truncation against float noise.
    if width / height > columns / rows:
        return (rows - int(round(height * (columns / width), 7))) // 2, 0
    return 0, (columns - int(round(width * (rows / height), 7))) // 2


def _downscaled(config: PretrainedConfig, tiles: _Tiles) -> tuple[int, int]:
    """Rows and columns that the model keeps: OneVision shrinks what exceeds `anyres_max_N`."""
    largest = getattr(config, "vision_aspect_ratio", None)
    if isinstance(largest, str) and largest.startswith("anyres_max_"):
        limit = int(largest.removeprefix("anyres_max_")) * tiles.per_tile**2
        ratio = math.sqrt(tiles.rows * tiles.columns / limit)
        if ratio > _DOWNSCALED_ABOVE:
            return int(tiles.rows // ratio), int(tiles.columns // ratio)
    return tiles.rows, tiles.columns


def _tile_grids(tiles: _Tiles, first: int) -> Iterator[PatchGrid]:
    """One grid for every tile that unpadding leaves something of.

    Tiles are grids of their own because a tile may end in pixels that no patch sees, so that
    patches of neighbouring tiles are not evenly spaced.
    """
    view = 0
    for top in range(0, tiles.vertical.processed, tiles.side):
        for left in range(0, tiles.horizontal.processed, tiles.side):
            view += 1
            across, column, hidden = _tile_axis(tiles, tiles.horizontal, left, tiles.cut_columns)
            down, row, above = _tile_axis(tiles, tiles.vertical, top, tiles.cut_rows)
            if across.processed <= 0 or down.processed <= 0:
                continue
            yield PatchGrid(
                horizontal=across,
                vertical=down,
                patch_size=tiles.patch_size,
                first_token=first + row * (tiles.columns + 1) + column,
                row_tokens=tiles.columns + 1,
                view=view,
                top=above,
                left=hidden,
            )


def _tile_axis(tiles: _Tiles, whole: Axis, start: int, cut: int) -> tuple[Axis, int, int]:
    """One axis of a tile without the patches that are cut.

    Returns:
        The axis, the first patch that is kept, counted over all tiles, and the pixels before it.
    """
    total = whole.processed // tiles.side * tiles.per_tile
    first = start // tiles.side * tiles.per_tile
    before = max(0, cut - first)
    after = max(0, first + tiles.per_tile - (total - cut))
    seen = whole.cut(
        before=start, after=whole.processed - start - tiles.per_tile * tiles.patch_size
    )
    kept = seen.cut(before=before * tiles.patch_size, after=after * tiles.patch_size)
    return kept, first + before - cut, before * tiles.patch_size


def read_pinpoints_as_published(model: PreTrainedModel, processor: Processor) -> None:
    """Compare image grids by width first, as the original LLaVA does, in packing features too.

    The original reads a pinpoint as (width, height), transformers as (height, width). Both lists
    hold the same grids, so the choice differs only where two grids fit a photo equally well and the
    first wins: photos smaller than a tall and a wide grid, 14 of the 5,525 published questions.
    """
    if not getattr(model.config, "image_grid_pinpoints", None):
        return
    # The processor keeps the order of the files, so that doing this twice changes nothing.
    own = getattr(processor.image_processor, "image_grid_pinpoints", None)
    listed = own or model.config.image_grid_pinpoints
    model.config.image_grid_pinpoints = [[width, height] for height, width in listed]


def _processor(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, tower: Json
) -> LlavaNextProcessor:
    return LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            image_grid_pinpoints=config.image_grid_pinpoints, **tower
        ),
        **processor_settings(tokenizer, config),
    )


LLAVA_NEXT = Family(
    name="llava_next",
    model_types=("llava_next",),
    layout=anyres_layout,
    aspect_ratio="anyres",
    tiles=LlavaNextImageProcessorPil,
    converted=Converted(
        aspect_ratios="anyres",
        config=LlavaNextConfig,
        model=LlavaNextForConditionalGeneration,
        settings=lambda images: {"image_grid_pinpoints": images.pinpoints},
        processor=_processor,
    ),
)

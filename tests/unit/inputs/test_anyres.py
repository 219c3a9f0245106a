"""Tiles against a derivation of their own, from the rules of the original LLaVA program."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import PretrainedConfig
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage
from mmflow_bench.checkpoints.families.llava_next import anyres_layout, tiled_tokens
from mmflow_bench.inputs.samples import Box
from mmflow_bench.positions.resolve import patches_overlapping

NEXT = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
ONEVISION = [[384 * i, 384 * j] for i in range(1, 7) for j in range(1, 7)]


def config_of(pinpoints: list[list[int]], patch_size: int, **more: Any) -> PretrainedConfig:
    vision = SimpleNamespace(patch_size=patch_size)
    return PretrainedConfig(vision_config=vision, image_grid_pinpoints=pinpoints, **more)


def layout_of(
    size: tuple[int, int],
    *,
    side: int = 336,
    patch_size: int = 14,
    pinpoints: list[list[int]] = NEXT,
    tiles: int,
    **more: Any,
) -> ImageLayout | None:
    config = config_of(pinpoints, patch_size, **more)
    return anyres_layout(
        ProcessedImage(
            width=size[0],
            height=size[1],
            image_processor=None,
            config=config,
            model_inputs={
                "pixel_values": torch.zeros(1, 1, 1, 1, 1).expand(1, tiles, 3, side, side)
            },
            image_tokens=tiled_tokens(config, width=size[0], height=size[1], side=side),
        )
    )


# Base 24 x 24 = 576. 500 x 375 fills 672 x 504 of 672 x 672: 36 of 48 rows are left.
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((500, 375), 576 + 36 * 49),
        ((375, 500), 576 + 48 * 37),
        # 48 * 430 / 500 = 41.28 truncates to 41; of the 7 columns left over one is kept.
        ((430, 500), 576 + 48 * 43),
        # Two tiles side by side hold all pixels: 24 * 500 / 333 = 36 of 48 columns.
        ((500, 333), 576 + 24 * 37),
        ((333, 500), 576 + 36 * 25),
        ((672, 672), 576 + 48 * 49),
        ((640, 480), 576 + 36 * 49),
        # Three tiles in a row: 72 columns, 24 * 300 / 336 rows.
        ((1008, 300), 576 + 22 * 73),
        ((300, 1008), 576 + 72 * 23),
        # Small photos fit the first two grids alike; transformers' order takes the wide one first.
        ((320, 240), 576 + 792),
        ((240, 320), 576 + 456),
    ],
)
def test_positions_of_a_photo_in_tiles(size: tuple[int, int], expected: int) -> None:
    config = config_of(NEXT, 14)
    assert tiled_tokens(config, width=size[0], height=size[1], side=336) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 240), 1026), ((240, 320), 1376), ((240, 166), 976), ((176, 144), 1076)],
)
def test_pinpoints_read_by_width_first_settle_ties_as_published(
    size: tuple[int, int], expected: int
) -> None:
    config = config_of([[width, height] for height, width in NEXT], 14)
    assert tiled_tokens(config, width=size[0], height=size[1], side=336) == expected


def test_every_position_is_one_patch_or_one_newline() -> None:
    photos = {(500, 375): 5, (333, 500): 3, (430, 500): 5, (1008, 300): 4, (90, 400): 3}
    for size, tiles in photos.items():
        layout = layout_of(size, tiles=tiles, pinpoints=NEXT)
        assert layout is not None
        patches = [
            grid.token(row, column)
            for grid in layout.grids
            for row in range(grid.rows)
            for column in range(grid.columns)
        ]
        total = tiled_tokens(config_of(NEXT, 14), width=size[0], height=size[1], side=336)
        assert sorted([*patches, *layout.newlines]) == list(range(total))
        gaps = set(np.diff(layout.newlines))
        assert gaps == {(total - 576) // len(layout.newlines)}
        assert layout.newlines[-1] == total - 1


def reassembled(pixels: torch.Tensor, high: int, wide: int) -> np.ndarray[Any, Any]:
    """The tiles after the first, side by side again: (3, height, width)."""
    side = pixels.shape[-1]
    tiles = pixels[1:].reshape(high // side, wide // side, 3, side, side)
    whole: np.ndarray[Any, Any] = tiles.permute(2, 0, 3, 1, 4).reshape(3, high, wide).numpy()
    return whole


def shown_by_position(
    pixels: torch.Tensor, size: tuple[int, int], grid: tuple[int, int], patch_size: int
) -> list[np.ndarray[Any, Any] | None]:
    """What every image position shows: pixels of its patch, None for a newline.

    Patches of a tile and tiles of the grid are put in rows; rows or columns of nothing but padding
    are dropped by truncating, the same number on both sides; a newline ends each row.
    """
    side = pixels.shape[-1]
    per_side = side // patch_size
    used = per_side * patch_size

    def patches(tile: torch.Tensor) -> torch.Tensor:
        cut = tile[:, :used, :used].reshape(3, per_side, patch_size, per_side, patch_size)
        return cut.permute(1, 3, 0, 2, 4)

    base = patches(pixels[0]).flatten(0, 1)
    (wide, high), (width, height) = grid, size
    across, down = wide // side, high // side
    rows = [
        torch.cat([patches(pixels[1 + row * across + column]) for column in range(across)], dim=1)
        for row in range(down)
    ]
    whole = torch.cat(rows, dim=0)
    if width / height > wide / high:
        keep = int(height * (whole.shape[1] / width))
        cut = (whole.shape[0] - keep) // 2
        whole = whole[cut : whole.shape[0] - cut]
    else:
        keep = int(width * (whole.shape[0] / height))
        cut = (whole.shape[1] - keep) // 2
        whole = whole[:, cut : whole.shape[1] - cut]
    shown: list[np.ndarray[Any, Any] | None] = [patch.numpy() for patch in base]
    for row in whole:
        shown += [*(patch.numpy() for patch in row), None]
    return shown


CASES = {
    "next": (LlavaNextImageProcessorPil, 28, 7, [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]),
    # As SigLIP of 384 pixels with patches of 14: a tile ends in pixels that no patch sees.
    "onevision": (
        LlavaOnevisionImageProcessorPil,
        30,
        7,
        [[30 * i, 30 * j] for i in range(1, 4) for j in range(1, 4)],
    ),
}


@st.composite
def boxes_in_photos(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(20, 160)), draw(st.integers(20, 160))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = (x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))
    return (width, height), box


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=80, deadline=None)
@given(case=boxes_in_photos())
def test_positions_that_a_box_changes_are_those_that_it_overlaps(
    name: str, case: tuple[tuple[int, int], tuple[int, int, int, int]]
) -> None:
    processor_class, side, patch_size, pinpoints = CASES[name]
    (width, height), (x, y, across, down) = case
    # Nearest-neighbour sampling: a patch changes only if a pixel of the box is read for it.
    processor = processor_class(
        size={"height": side, "width": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=pinpoints,
        resample=0,
    )
    plain = np.zeros((height, width, 3), dtype=np.uint8)
    painted = plain.copy()
    painted[y : y + down, x : x + across] = 255
    before, after = (
        processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
        for image in (plain, painted)
    )
    grid = best_grid((width, height), pinpoints)
    shown = [shown_by_position(p[0], (width, height), grid, patch_size) for p in (before, after)]
    config = config_of(pinpoints, patch_size)
    layout = anyres_layout(
        ProcessedImage(
            width=width,
            height=height,
            image_processor=processor,
            config=config,
            model_inputs={"pixel_values": before},
            image_tokens=tiled_tokens(config, width=width, height=height, side=side),
        )
    )
    assert layout is not None
    assert len(shown[0]) == tiled_tokens(config, width=width, height=height, side=side)
    newlines = tuple(index for index, patch in enumerate(shown[0]) if patch is None)
    assert layout.newlines == newlines
    changed = {
        index
        for index, (one, other) in enumerate(zip(*shown, strict=True))
        if one is not None and other is not None and (one != other).any()
    }
    overlapped = patches_overlapping([Box(x=x, y=y, width=across, height=down)], layout)
    assert changed <= overlapped
    # What is overlapped and unchanged holds no centre of a sampled pixel: a sliver below one pixel.
    slivers = overlapped - changed
    smaller = Box(x=x + 1.0, y=y + 1.0, width=across - 2.0, height=down - 2.0)
    scale = min(side / width, side / height)
    if across > 2 + 1 / scale and down > 2 + 1 / scale:
        inner = patches_overlapping([smaller], layout)
        assert all(is_on_edge(layout, token, smaller) for token in slivers & inner)


def is_on_edge(layout: ImageLayout, token: int, box: Box) -> bool:
    """Whether less than one processed pixel of the box reaches into the patch."""
    for grid in layout.grids:
        for row in range(grid.rows):
            for column in range(grid.columns):
                if grid.token(row, column) != token:
                    continue
                reach = [
                    min((start + extent) * axis.scale + axis.offset, (cell + 1) * grid.patch_size)
                    - max(start * axis.scale + axis.offset, cell * grid.patch_size)
                    for start, extent, axis, cell in (
                        (box.x, box.width, grid.horizontal, column),
                        (box.y, box.height, grid.vertical, row),
                    )
                ]
                return min(reach) < 1.0
    raise AssertionError(token)


def best_grid(size: tuple[int, int], pinpoints: list[list[int]]) -> tuple[int, int]:
    """Width and height of the grid that keeps most pixels and then wastes least; first of ties."""
    width, height = size

    def worth(pinpoint: list[int]) -> tuple[int, int]:
        high, wide = pinpoint
        scale = min(wide / width, high / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - wide * high

    high, wide = max(pinpoints, key=worth)
    return wide, high


def test_a_photo_that_is_interpolated_between_patches_has_no_layout() -> None:
    options = {"side": 384, "patch_size": 14, "pinpoints": ONEVISION}
    aspect = {"vision_aspect_ratio": "anyres_max_9"}
    assert layout_of((500, 375), tiles=3, **options, **aspect) is not None
    # 6 x 6 tiles of 27 x 27 shrink to sides of 162 / 2 = 81.
    config = config_of(ONEVISION, 14, **aspect)
    ratio = math.sqrt(36 / 9)
    side = int(6 * 27 // ratio)
    tokens = tiled_tokens(config, width=2304, height=2304, side=384)
    assert tokens == 27 * 27 + side * (side + 1)
    assert layout_of((2304, 2304), tiles=37, **options, **aspect) is None


@pytest.mark.parametrize("tiles", [1, 4, 6])
def test_another_number_of_tiles_than_the_model_packs_has_no_layout(tiles: int) -> None:
    assert layout_of((500, 375), tiles=tiles) is None

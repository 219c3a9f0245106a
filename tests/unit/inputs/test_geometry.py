"""Boxes against what the real processors do: paint the box, see which patches change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import PretrainedConfig
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.checkpoints.families.known import image_layout
from mmflow_bench.checkpoints.families.layout import ImageLayout, PatchGrid, ProcessedImage

SIDE, PATCH = 28, 7
SQUARE = {"height": SIDE, "width": SIDE}


def processors() -> dict[str, Any]:
    shortest = {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE, "resample": 0}
    return {
        "shortest edge, centre crop": CLIPImageProcessorPil(**shortest),
        "padded to a square": LlavaImageProcessorPil(**shortest, do_pad=True),
        "not padded": LlavaImageProcessorPil(**shortest),
        "squeezed": CLIPImageProcessorPil(size=SQUARE, do_center_crop=False, resample=0),
        "no resize, crop pads": CLIPImageProcessorPil(do_resize=False, crop_size=SQUARE),
        "odd crop": CLIPImageProcessorPil(size={"shortest_edge": 33}, crop_size=SQUARE, resample=0),
    }


def layout_of(
    processor: Any,
    size: tuple[int, int],
    pixels: torch.Tensor,
    *,
    image_tokens: int,
    patch_size: int = PATCH,
) -> ImageLayout | None:
    return image_layout(
        ProcessedImage(
            width=size[0],
            height=size[1],
            image_processor=processor,
            config=PretrainedConfig(vision_config=SimpleNamespace(patch_size=patch_size)),
            model_inputs={"pixel_values": pixels},
            image_tokens=image_tokens,
        )
    )


def grid_of(processor: Any, width: int, height: int, **numbers: int) -> PatchGrid:
    pixels = processor(images=Image.new("RGB", (width, height)), return_tensors="pt")
    options = {"image_tokens": 16} | numbers
    found = layout_of(processor, (width, height), pixels["pixel_values"], **options)
    assert found is not None
    (grid,) = found.grids
    assert found.newlines == ()
    return grid


def changed_pixels(
    processor: Any, size: tuple[int, int], box: tuple[int, int, int, int]
) -> np.ndarray[Any, Any]:
    """Processed pixels (height, width) that painting the box changes."""
    plain = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    painted = plain.copy()
    x, y, width, height = box
    painted[y : y + height, x : x + width] = 255
    before, after = (
        processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"][0]
        for image in (plain, painted)
    )
    changed: np.ndarray[Any, Any] = (before != after).any(0).numpy()
    return changed


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    width, height = draw(st.integers(12, 90)), draw(st.integers(12, 90))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    box = (x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))
    return (width, height), box


@pytest.mark.parametrize("name", processors())
@settings(max_examples=25, deadline=None)
@given(case=boxes_in_images())
def test_a_box_lands_where_the_processor_puts_its_pixels(
    name: str, case: tuple[tuple[int, int], tuple[int, int, int, int]]
) -> None:
    size, (x, y, width, height) = case
    processor = processors()[name]
    grid = grid_of(processor, *size)
    rows, columns = np.nonzero(changed_pixels(processor, size, (x, y, width, height)))
    across, down = grid.horizontal, grid.vertical
    for axis, start, extent, pixels in ((across, x, width, columns), (down, y, height, rows)):
        first = start * axis.scale + axis.offset
        last = (start + extent) * axis.scale + axis.offset
        # Nearest-neighbour sampling reads each processed pixel at its centre.
        centres = np.arange(axis.processed) + 0.5
        inside = np.flatnonzero((centres > first + 1e-6) & (centres < last - 1e-6))
        near = np.flatnonzero((centres > first - 1e-6) & (centres < last + 1e-6))
        assert set(pixels) <= set(near)
        if len(rows):
            assert set(inside) <= set(pixels)


def test_the_published_geometry_is_a_grid_of_24_by_24() -> None:
    processor = LlavaImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}, do_pad=True
    )
    grid = grid_of(processor, 500, 375, image_tokens=576, patch_size=14)
    assert (grid.rows, grid.columns, grid.first_token) == (24, 24, 0)
    assert grid.horizontal.scale == grid.vertical.scale == pytest.approx(336 / 500)
    assert grid.vertical.offset == pytest.approx(62 * 336 / 500)


def test_a_kept_class_token_comes_before_the_patches() -> None:
    grid = grid_of(processors()["not padded"], 40, 40, image_tokens=17)
    assert grid.first_token == grid.token(0, 0) == 1
    assert grid.token(3, 3) == 16


@pytest.mark.parametrize(
    ("pixels", "image_tokens"),
    [
        (torch.zeros(1, 3, SIDE, SIDE), 15),
        (torch.zeros(1, 3, SIDE, 2 * SIDE), 16),
        (torch.zeros(1, 5, 3, SIDE, SIDE), 80),
        (torch.zeros(64, 588), 16),
    ],
    ids=["token count", "size", "tiles", "flat patches"],
)
def test_what_is_not_a_known_layout_has_none(pixels: torch.Tensor, image_tokens: int) -> None:
    processor = processors()["not padded"]
    assert layout_of(processor, (40, 40), pixels, image_tokens=image_tokens) is None

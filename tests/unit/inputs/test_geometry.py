"""Boxes against what the real processors do: paint the box, see which patches change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.inputs.geometry import ImageGeometry, image_geometry

SIDE, PATCH = 28, 7
SQUARE = {"height": SIDE, "width": SIDE}


class Tower:
    patch_size = PATCH


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


def geometry_of(processor: Any, width: int, height: int) -> ImageGeometry:
    pixels = processor(images=Image.new("RGB", (width, height)), return_tensors="pt")
    found = image_geometry(
        processor,
        width=width,
        height=height,
        model_inputs={"pixel_values": pixels["pixel_values"]},
        vision_config=Tower(),
        image_tokens=16,
    )
    assert found is not None
    return found


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
    geometry = geometry_of(processor, *size)
    rows, columns = np.nonzero(changed_pixels(processor, size, (x, y, width, height)))
    across, down = geometry.horizontal, geometry.vertical
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

    class Clip:
        patch_size = 14

    pixels = processor(images=Image.new("RGB", (500, 375)), return_tensors="pt")
    found = image_geometry(
        processor,
        width=500,
        height=375,
        model_inputs={"pixel_values": pixels["pixel_values"]},
        vision_config=Clip(),
        image_tokens=576,
    )
    assert found is not None
    assert (found.rows, found.columns, found.leading_tokens) == (24, 24, 0)
    assert found.horizontal.scale == found.vertical.scale == pytest.approx(336 / 500)
    assert found.vertical.offset == pytest.approx(62 * 336 / 500)


def test_a_kept_class_token_comes_before_the_patches() -> None:
    processor = processors()["not padded"]
    pixels = processor(images=Image.new("RGB", (40, 40)), return_tensors="pt")["pixel_values"]
    shape = {"width": 40, "height": 40, "vision_config": Tower()}
    inputs = {"pixel_values": pixels}
    with_class = image_geometry(processor, **shape, model_inputs=inputs, image_tokens=17)
    assert with_class is not None
    assert with_class.leading_tokens == 1


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
def test_what_is_not_one_grid_of_patches_has_no_geometry(
    pixels: torch.Tensor, image_tokens: int
) -> None:
    processor = processors()["not padded"]
    assert (
        image_geometry(
            processor,
            width=40,
            height=40,
            model_inputs={"pixel_values": pixels},
            vision_config=Tower(),
            image_tokens=image_tokens,
        )
        is None
    )

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid
from mmflow_bench.inputs.samples import Box
from mmflow_bench.positions.resolve import patches_overlapping


def grid(
    *, scale: float = 1.0, offset: float = 0.0, processed: int = 28, patch_size: int = 7
) -> PatchGrid:
    axis = Axis(original=100, scale=scale, offset=float(offset), processed=processed)
    return PatchGrid(horizontal=axis, vertical=axis, patch_size=patch_size)


def patches(grid: PatchGrid, *boxes: tuple[float, float, float, float]) -> list[int]:
    edges = [map(float, box) for box in boxes]
    found = [Box(x=x, y=y, width=w, height=h) for x, y, w, h in edges]
    return sorted(patches_overlapping(found, ImageLayout(grids=(grid,))))


def test_patches_are_counted_row_by_row() -> None:
    assert patches(grid(), (8, 1, 5, 5)) == [1]
    assert patches(grid(), (1, 8, 5, 5)) == [4]


def test_a_box_that_ends_on_the_border_of_a_patch_does_not_touch_the_next() -> None:
    assert patches(grid(), (7, 7, 7, 7)) == [5]


def test_rounding_noise_on_a_border_touches_nothing() -> None:
    assert patches(grid(scale=28 / 90), (0, 0, 22.5, 22.5)) == [0]
    assert patches(grid(), (0.1 + 0.2 - 0.3, 0, 7 + 1e-12, 7)) == [0]


def test_any_real_overlap_counts() -> None:
    assert patches(grid(), (6.99, 0, 0.02, 1)) == [0, 1]


def test_several_boxes_are_united() -> None:
    assert patches(grid(), (0, 0, 7, 7), (21, 21, 7, 7), (0, 0, 3, 3)) == [0, 15]


def test_a_box_that_is_cropped_away_has_no_patches() -> None:
    assert patches(grid(offset=-20), (0, 0, 20, 20)) == []


def test_pixels_beyond_the_last_whole_patch_belong_to_none() -> None:
    assert patches(grid(processed=30), (28, 28, 2, 2)) == []


@given(
    st.tuples(*[st.floats(0, 90)] * 2, *[st.floats(0.5, 10)] * 2),
    st.floats(0.2, 3.0),
    st.floats(-30, 30),
)
def test_patches_are_those_whose_rectangle_meets_the_box(
    box: tuple[float, float, float, float], scale: float, offset: float
) -> None:
    geometry = grid(scale=scale, offset=offset)
    x, y, width, height = box

    def overlap(start: float, extent: float, cell: int) -> float:
        first, last = start * scale + offset, (start + extent) * scale + offset
        return min(last, (cell + 1) * 7) - max(first, cell * 7)

    areas = {
        row * 4 + column: min(overlap(x, width, column), overlap(y, height, row))
        for row in range(4)
        for column in range(4)
    }
    found = patches_overlapping(
        [Box(x=x, y=y, width=width, height=height)], ImageLayout(grids=(geometry,))
    )
    assert {patch for patch, side in areas.items() if side > 1e-4} <= found
    assert found <= {patch for patch, side in areas.items() if side > 0}


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (333, 500)])
def test_the_whole_photo_covers_all_but_the_padding(width: int, height: int) -> None:
    side = max(width, height)
    scale = 336 / side
    geometry = PatchGrid(
        horizontal=Axis(
            original=width, scale=scale, offset=(side - width) // 2 * scale, processed=336
        ),
        vertical=Axis(
            original=height, scale=scale, offset=(side - height) // 2 * scale, processed=336
        ),
        patch_size=14,
    )
    found = patches(geometry, (0, 0, width, height))
    share = len(found) / 576
    assert min(width, height) / side <= share < min(width, height) / side + 2 / 24

"""Which image positions show which part of a photo, in views of every kind."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid
from mmflow_bench.tracing.blocks import areas, together


def axis(original: int, processed: int, *, scale: float = 1.0, offset: float = 0.0) -> Axis:
    return Axis(original=original, scale=scale, offset=offset, processed=processed)


def whole(width: int, height: int, patch: int = 10) -> PatchGrid:
    return PatchGrid(horizontal=axis(width, width), vertical=axis(height, height), patch_size=patch)


def test_every_patch_belongs_to_one_area_and_areas_tile_the_photo():
    layout = ImageLayout(grids=(whole(60, 60),))
    found = areas(layout, range(100, 136), side=3)
    assert [(one.row, one.column) for one in found] == [(r, c) for r in range(3) for c in range(3)]
    assert sorted(p for one in found for p in one.positions) == list(range(100, 136))
    assert found[0].positions == (100, 101, 106, 107)
    assert (found[4].left, found[4].top, found[4].width, found[4].height) == (20, 20, 20, 20)


def test_there_are_no_more_areas_than_patches():
    assert len(areas(ImageLayout(grids=(whole(30, 20),)), range(6), side=6)) == 6


def test_what_is_cropped_away_or_padded_has_no_area():
    # The middle square of a photo that is twice as wide as high.
    cropped = PatchGrid(
        horizontal=axis(120, 60, offset=-30.0), vertical=axis(60, 60), patch_size=10
    )
    found = areas(ImageLayout(grids=(cropped,)), range(36), side=6)
    assert {one.column for one in found} == {1, 2, 3, 4}
    # A photo of half that height, padded to a square: rows 0 and 5 show nothing of it.
    padded = PatchGrid(horizontal=axis(60, 60), vertical=axis(40, 60, offset=10.0), patch_size=10)
    found = areas(ImageLayout(grids=(padded,)), range(36), side=2)
    assert sorted(p for one in found for p in one.positions) == list(range(6, 30))


def test_all_views_of_a_photo_count_and_newlines_do_not():
    tile = PatchGrid(
        horizontal=axis(60, 60, scale=2.0, offset=-60.0),
        vertical=axis(60, 60, scale=2.0),
        patch_size=10,
        first_token=36,
        row_tokens=7,
    )
    layout = ImageLayout(grids=(whole(60, 60), tile), newlines=tuple(range(42, 78, 7)))
    found = areas(layout, range(78), side=2)
    (right,) = (one for one in found if (one.row, one.column) == (0, 1))
    assert len(right.positions) == 9 + 36
    assert not {*layout.newlines} & {p for one in found for p in one.positions}


@pytest.mark.parametrize("side", [1, 4, 24])
def test_together_is_an_area_with_those_around_it(side):
    found = areas(ImageLayout(grids=(whole(40, 40),)), range(16), side=side)
    assert together(found[0], found, 0) == found[0].positions
    assert together(found[0], found, side) == tuple(range(16))
    if side > 1:
        assert len(together(found[0], found, 1)) == 4


def test_no_grid_has_no_areas():
    assert areas(ImageLayout(grids=()), (), side=6) == []

"""The pixels of a scene: wallpaper tiles and object drawings on the patch grid.

Everything is drawn by integer geometry in numpy, so that the same pixels come out on every
machine. An object is a drawing of 2 x 2 patches; wallpaper repeats one tile per patch. The lowest
three pixel rows of every patch are left free, for the skirting board along the floor.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.scenes.things import CATEGORIES, COLORS, GISTS, MATERIALS

PATCH = 14
"""Height and width of a patch, in pixels."""
GRID = 6
"""Patches per row and per column of a scene."""
OBJECT = 2 * PATCH
"""Height and width of an object's drawing, in pixels."""
SKIRTING_ROWS = 3

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Book = list[tuple[Picture, int | None, tuple[str, str, str] | None]]
"""Patches, each with its index in `GISTS` (wallpaper) or None, and with category, colour and
material of the object that it shows or None."""

_WALL = (238, 230, 212)
_SKIRTING = (148, 112, 78)
_OUTLINE = (48, 44, 52)
_SHINE = (250, 250, 255)
_GRAIN = (96, 70, 50)
_PAINT = {
    "red": (204, 44, 40),
    "blue": (44, 84, 196),
    "green": (52, 152, 72),
    "yellow": (232, 192, 48),
}
_INKS = ((196, 160, 140), (140, 168, 190))


def wallpaper(gist: int) -> Picture:
    """The wallpaper tile of a gist: one of eight glyphs in one of two inks."""
    rows, columns = np.mgrid[0:PATCH, 0:PATCH]
    across, down = np.abs(columns - 6), np.abs(rows - 5)
    glyphs = (
        across**2 + down**2 <= 9,
        (across <= 1) & (down <= 4),
        (down <= 1) & (across <= 4),
        (np.abs(across - down) <= 1) & (down <= 3),
        np.maximum(across, down) == 4,
        (across + down <= 4) & (across + down >= 3),
        (columns % 5 == 1) & (rows < 11),
        (rows % 4 == 2) & (rows < 11),
    )
    if len(GISTS) != len(glyphs) * len(_INKS):
        raise ValueError(f"one tile per gist, got {len(GISTS)} gists; draw more glyphs")
    tile = _filled(PATCH)
    tile[glyphs[gist % len(glyphs)]] = _INKS[gist // len(glyphs)]
    return tile


@cache
def object_mask(category: str) -> Mask:
    """Which pixels of its drawing an object covers."""
    rows, columns = np.mgrid[0:OBJECT, 0:OBJECT]
    doubled = np.abs(2 * columns - 27)  # distance from the upright middle, in half pixels
    slant = (rows - 5) // 6
    trunk = (rows >= 5) & (rows <= 23)
    ring = (rows - 13) ** 2 + (columns - 19) ** 2
    masks: dict[str, Mask] = {
        "ball": (2 * rows - 26) ** 2 + doubled**2 <= 21**2,
        "box": trunk & (columns >= 4) & (columns <= 23),
        "cup": (trunk & (columns >= 4 + slant) & (columns <= 19 - slant))
        | ((ring <= 36) & (ring >= 12) & (columns >= 18)),
        "lamp": ((rows >= 3) & (rows <= 13) & (doubled <= 7 + rows))
        | ((rows > 13) & (rows <= 20) & (doubled <= 3))
        | ((rows > 20) & (rows <= 23) & (doubled <= 13)),
    }
    return masks[category]


@cache
def object_drawing(category: str, color: str, material: str) -> Picture:
    """An object on a plain wall: painted, outlined, with a shine (metal) or a grain (wood)."""
    rows, columns = np.mgrid[0:OBJECT, 0:OBJECT]
    mask = object_mask(category)
    picture = _filled(OBJECT)
    picture[mask] = _PAINT[color]
    if material == "metal":
        picture[mask & ((rows + columns) % 9 < 2)] = _SHINE
    else:
        picture[mask & (rows % 4 == 1)] = _GRAIN
    picture[_edge(mask)] = _OUTLINE
    if category == "box":
        picture[mask & (rows == 9)] = _OUTLINE  # the lid
    return picture


def with_skirting(picture: Picture) -> Picture:
    """The same picture with the skirting board along its lower edge."""
    lower = picture.copy()
    lower[-SKIRTING_ROWS:] = _SKIRTING
    return lower


def patch_book() -> Book:
    """Every patch that can occur in a scene, with what it shows."""
    book: Book = []
    for gist in range(len(GISTS)):
        tile = wallpaper(gist)
        book += [(tile, gist, None), (with_skirting(tile), gist, None)]
    for kind in product(CATEGORIES, COLORS, MATERIALS):
        drawing = object_drawing(*kind)
        for picture in (drawing, with_skirting(drawing)):
            book += [(quarter, None, kind) for quarter in _quarters(picture)]
    return book


def squeezed_patch_book() -> Book:
    """The same for scenes twice as wide, squeezed by leaving out every second column.

    Either half of the columns may be left out: resizing without interpolation keeps the left
    neighbour or the right one. A squeezed object is one patch wide and two high.
    """
    book: Book = []
    for gist in range(len(GISTS)):
        tiles = np.concatenate([wallpaper(gist)] * 2, axis=1)
        for picture in (tiles, with_skirting(tiles)):
            book += [(picture[:, first::2], gist, None) for first in (0, 1)]
    for kind in product(CATEGORIES, COLORS, MATERIALS):
        drawing = object_drawing(*kind)
        for picture, first in product((drawing, with_skirting(drawing)), (0, 1)):
            squeezed = picture[:, first::2]
            book += [(half, None, kind) for half in (squeezed[:PATCH], squeezed[PATCH:])]
    return book


def _quarters(drawing: Picture) -> list[Picture]:
    starts = (0, PATCH)
    return [drawing[y : y + PATCH, x : x + PATCH] for y in starts for x in starts]


def _filled(size: int) -> Picture:
    return np.full((size, size, 3), _WALL, dtype=np.uint8)


def _edge(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner

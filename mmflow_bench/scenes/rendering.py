"""A scene: objects on a papered wall, as a PIL image with exact boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from mmflow_bench.inputs.samples import Box
from mmflow_bench.scenes.pictures import (
    GRID,
    OBJECT,
    PATCH,
    object_drawing,
    object_mask,
    wallpaper,
    with_skirting,
)
from mmflow_bench.scenes.things import SIDES

SIZE = GRID * PATCH
"""Height and usual width of a scene, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedObject:
    """An object and the patch at its top left; it covers 2 x 2 patches."""

    category: str
    color: str
    material: str
    row: int
    column: int

    @property
    def side(self) -> str:
        """The half of the image that holds the whole object."""
        return SIDES[self.column >= GRID // 2]

    def widened(self) -> PlacedObject:
        """The object in a scene that is twice as wide."""
        return replace(self, column=2 * self.column)

    @property
    def box(self) -> Box:
        """The smallest rectangle around the object's own pixels."""
        rows, columns = np.nonzero(object_mask(self.category))
        return Box(
            x=self.column * PATCH + float(columns.min()),
            y=self.row * PATCH + float(rows.min()),
            width=float(np.ptp(columns)) + 1,
            height=float(np.ptp(rows)) + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Objects that do not overlap, in front of wallpaper of one gist."""

    gist: int
    objects: tuple[PlacedObject, ...]
    columns: int = GRID
    """Width in patches."""

    def widened(self) -> Scene:
        """The scene twice as wide, every object at an even column and in its own half.

        An overview of it, squeezed to the usual width, shows no object and wallpaper in one patch.
        """
        moved = tuple(thing.widened() for thing in self.objects)
        return replace(self, columns=2 * self.columns, objects=moved)

    def rendered(self) -> Image.Image:
        """The scene as an RGB image whose patch grid is the native pixel grid."""
        canvas = np.tile(wallpaper(self.gist), (GRID, self.columns, 1))
        for thing in self.objects:
            top, left = thing.row * PATCH, thing.column * PATCH
            canvas[top : top + OBJECT, left : left + OBJECT] = object_drawing(
                thing.category, thing.color, thing.material
            )
        return Image.fromarray(with_skirting(canvas))

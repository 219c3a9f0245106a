"""Objects put at random free places of a scene."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from mmflow_bench.scenes.pictures import GRID
from mmflow_bench.scenes.rendering import PlacedObject
from mmflow_bench.scenes.things import CATEGORIES, COLORS, MATERIALS, SIDES

Choice = TypeVar("Choice")


def other_than(
    draw: random.Random, choices: Sequence[Choice], *excluded: Choice, count: int = 1
) -> list[Choice]:
    """Distinct random choices without the excluded ones."""
    return draw.sample([choice for choice in choices if choice not in excluded], count)


def placed(
    draw: random.Random,
    taken: Sequence[PlacedObject] = (),
    *,
    category: str | None = None,
    color: str | None = None,
    material: str | None = None,
    side: str | None = None,
) -> PlacedObject:
    """An object at a free place; what is not given is drawn at random.

    Its category is one that no object in `taken` has, so that words stay unambiguous.
    """
    names = [thing.category for thing in taken]
    row, column = draw.choice(_free_places(taken, side))
    return PlacedObject(
        category=category or other_than(draw, CATEGORIES, *names)[0],
        color=color or draw.choice(COLORS),
        material=material or draw.choice(MATERIALS),
        row=row,
        column=column,
    )


def _free_places(taken: Sequence[PlacedObject], side: str | None) -> list[tuple[int, int]]:
    """Places whose 2 x 2 patches are free and lie in one half of the image."""
    places = [
        (row, column)
        for row in range(GRID - 1)
        for column in range(GRID - 1)
        if column != GRID // 2 - 1 and (side is None or SIDES[column >= GRID // 2] == side)
    ]
    return [
        (row, column)
        for row, column in places
        if all(abs(row - thing.row) > 1 or abs(column - thing.column) > 1 for thing in taken)
    ]

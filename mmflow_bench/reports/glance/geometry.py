"""Where everything of the picture lies: depth from left to right, lanes from top to bottom.

A ribbon leaves its source's lane at the first layer of a stretch and reaches its target's at the
last; its thickness is proportional to the effect, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mmflow_bench.reports.glance.flow import Case, Glance
from mmflow_bench.reports.glance.paths import Lane, Path, State, Stretch

_THINNEST = 1.5
"""Of a ribbon that is drawn at all, in units of the sheet."""
_ASIDE = 6.0
"""By how much parts of one edge lie beside each other."""
_LETTER = 0.6
"""The width of a letter, on the average, of its height."""
_LINE = 1.35
"""From one line of letters to the next, of their height."""


class Point(NamedTuple):
    """A place on the sheet, y downwards."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The sizes of a drawing, in units of its viewBox."""

    width: float
    left: float
    """Where the first layer begins; names of lanes stand before it."""
    right: float
    """Where the last one ends."""
    top: float
    """Of the first lane."""
    between: float
    """From lane to lane."""
    thickest: float
    """A ribbon without which nothing is left of the answer."""
    strip: float
    """Height of a probability of one."""

    def lane(self, lane: Lane) -> float:
        return self.top + self.between * [*Lane].index(lane)

    def x(self, layer: float, layers: int) -> float:
        """The middle of a layer; of -0.5 where the first one begins."""
        return self.left + (self.right - self.left) * (layer + 0.5) / max(1, layers)

    def floor(self, strip: int) -> float:
        """Where the probability of a strip is zero."""
        return self.lane(Lane.LAST) + 22 + (strip + 1) * (self.strip + 10)

    def height(self, strips: int) -> float:
        below = self.floor(strips - 1) if strips else self.lane(Lane.LAST) + self.thickest / 2
        return below + 38


WIDE = Sheet(
    width=960, left=118, right=944, top=34, between=118, thickest=52, strip=26
)  # fmt: skip
NARROW = Sheet(width=380, left=70, right=372, top=26, between=92, thickest=38, strip=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ribbon:
    """One stretch of a path as it is drawn."""

    path: Path
    stretch: Stretch
    thickness: float
    start: Point
    end: Point

    @property
    def is_solid(self) -> bool:
        return self.path.state is State.SHOWN

    def at(self, share: float) -> Point:
        """A point of its middle line; 0 is the start and 1 the end."""
        # A cubic Bezier curve whose ends are level and whose handles meet half way.
        middle, back = (self.start.x + self.end.x) / 2, 1 - share
        ends = back**3, 3 * back**2 * share, 3 * back * share**2, share**3
        x = ends[0] * self.start.x + (ends[1] + ends[2]) * middle + ends[3] * self.end.x
        y = (ends[0] + ends[1]) * self.start.y + (ends[2] + ends[3]) * self.end.y
        return Point(x, y)


def ribbons(glance: Glance, sheet: Sheet) -> tuple[Ribbon, ...]:
    """Every stretch that is drawn, long ways first, so that short ones are not hidden."""
    found = [ribbon for path in glance.drawn for ribbon in _of_path(path, glance.layers, sheet)]
    return tuple(sorted(found, key=lambda one: one.start.y - one.end.y))


def _of_path(path: Path, layers: int, sheet: Sheet) -> Iterator[Ribbon]:
    aside = _aside(path)
    for stretch in path.stretches:
        thickness = max(_THINNEST, sheet.thickest * stretch.effect)
        first, last = _reach(stretch, layers, sheet, thickness)
        yield Ribbon(
            path=path,
            stretch=stretch,
            thickness=thickness,
            start=Point(first, sheet.lane(path.edge.source) + aside),
            end=Point(last, sheet.lane(path.edge.target) + aside),
        )


def _aside(path: Path) -> float:
    if not path.edge.whole:
        return 0.0
    return _ASIDE if path.edge.name.startswith("related") else -_ASIDE


def _reach(stretch: Stretch, layers: int, sheet: Sheet, thickness: float) -> tuple[float, float]:
    """From where to where a ribbon goes: its layers, or as far as a ribbon must to be seen as one.

    Its middle stays that of its layers, unless it would leave the sheet.
    """
    first = sheet.x(stretch.first - 0.5, layers)
    last = sheet.x(stretch.last + 0.5, layers)
    more = max(0.0, 1.4 * thickness + sheet.between / 5 - (last - first)) / 2
    first, last = first - more, last + more
    moved = max(0.0, sheet.left - first) - max(0.0, last - sheet.right)
    return first + moved, last + moved


class Label(NamedTuple):
    """What stands at a ribbon."""

    place: Point
    text: str


def labels(said: Iterable[tuple[Ribbon, str]], sheet: Sheet, *, size: float) -> list[Label]:
    """A label for each ribbon, none on another.

    Args:
        said: The ribbons, and what is said of each.
        sheet: What they are drawn on.
        size: Of the type, in units of the sheet.
    """
    placed: list[Label] = []
    for ribbon, text in sorted(said, key=lambda pair: pair[0].at(0.5)):
        x, y = ribbon.at(0.28 if ribbon.path.edge.is_direct else 0.5)
        # A short ribbon at an edge of the sheet has a label that is wider than itself.
        half = _LETTER * size * len(text) / 2
        x = min(max(x, sheet.left + half - _ASIDE), sheet.right - half)
        label = Label(Point(x, y + size / 3), text)
        while any(_is_on(label, other, size) for other in placed):
            label = Label(Point(x, label.place.y + _LINE * size), label.text)
        placed.append(label)
    return placed


def _is_on(one: Label, other: Label, size: float) -> bool:
    wide = _LETTER * size * (len(one.text) + len(other.text)) / 2
    is_beside = abs(one.place.x - other.place.x) >= wide
    # A line apart is apart, whichever way that was rounded.
    return not is_beside and abs(one.place.y - other.place.y) < 0.99 * _LINE * size


def outline(case: Case, strip: int, layers: int, sheet: Sheet) -> list[Point]:
    """The area below a probability, from the first layer to the last and back along the floor."""
    floor = sheet.floor(strip)
    points = [
        Point(sheet.x(layer, layers), floor - sheet.strip * min(max(value, 0.0), 1.0))
        for layer, value in enumerate(case.probability)
    ]
    return [Point(points[0].x, floor), *points, Point(points[-1].x, floor)]

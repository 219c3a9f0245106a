"""Which rows the batch of a suffix pass has at each layer, and what is done to them there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mmflow_bench.interventions.planning import CutEdges, Row, Skipped

Done = tuple[CutEdges | Skipped, ...]
"""Told apart by which they are, since windows of one edge share what they do."""
Different = tuple[int, Done]
"""A row from some layer on: the row of the batch that it was before, and what is done to it."""


@dataclass
class Batch:
    """Rows that differ at the layer that a pass has reached; the first is the clean one."""

    rows: Sequence[Row]
    places: list[int] = field(init=False)
    """Of every row, its place in the batch."""
    done: dict[int, Done] = field(default_factory=dict)
    """What is done in this layer, by the places in the batch that it is done to."""
    begun: dict[int, set[int]] = field(default_factory=dict)
    """Of places in the batch that were the clean row until this layer, positions that are cut."""
    _at_work: dict[int, dict[int, Done]] = field(default_factory=dict)
    """What is done, by layer and row; rows to which nothing is done there are not named."""

    def __post_init__(self) -> None:
        self.places = [0] * len(self.rows)
        for i, row in enumerate(self.rows):
            for layer, done in row.by_layer().items():
                self._at_work.setdefault(layer, {})[i] = done

    def enter(self, layer: int, has_trace: Sequence[bool]) -> list[int]:
        """One row for all that have the same state so far and the same done to them here.

        Args:
            layer: The next one.
            has_trace: Which rows of the batch are not the clean one.

        Returns:
            Of every row that there is now, the row of the batch that it was before.
        """
        at_work = self._at_work.get(layer, {})
        asked = [
            (before if has_trace[before] else 0, at_work.get(i, ()))
            for i, before in enumerate(self.places)
        ]
        different = ordered({(0, ()): None, **dict.fromkeys(asked)}, len(has_trace))
        places = {key: place for place, key in enumerate(different)}
        self.places = [places[key] for key in asked]
        self.done = {place: key[1] for key, place in places.items() if key[1]}
        self.begun = {}
        for place, done in self.done.items():
            cuts = [does for does in done if isinstance(does, CutEdges)]
            if different[place][0] == 0 and len(cuts) == len(done):
                self.begun[place] = {target for does in cuts for target in does.targets}
        return [before for before, _ in different]


def ordered(different: Iterable[Different], rows: int) -> list[Different]:
    """The clean row first, and neighbours alike, since attention takes those together.

    If that can be had, rows of the batch, of which there are so many, stay where they are.
    """
    different = list(different)
    first: dict[int, Different] = {}
    for one in different:
        first.setdefault(one[0], one)
    if len(first) == rows:
        staying = [first[row] for row in range(rows)]
        known = set(staying)
        whole = staying + [one for one in different if one not in known]
        if sum(bool(one[1]) != bool(other[1]) for one, other in pairwise(whole)) <= 1:
            return whole
    return sorted(different, key=lambda one: bool(one[1]))

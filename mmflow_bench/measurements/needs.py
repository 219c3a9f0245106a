"""What mechanisms read of one task, gathered so that one pass over the samples measures it all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Reader(Protocol):
    """A mechanism, as far as measuring is concerned."""

    @property
    def edges(self) -> Collection[str]:
        """Edges whose knockout it reads."""

    @property
    def widths(self) -> str:
        """Windows it reads them at: `auto`, `one` (single layers) or `both`."""

    @property
    def lens(self) -> bool:
        """Whether it reads the logit lens."""

    @property
    def has_twins(self) -> bool:
        """Whether other methods of knocking out are asked too."""


@dataclass(slots=True)
class Need:
    """Sweeps and lens that some mechanisms read of one task."""

    sweeps: set[tuple[str, str]] = field(default_factory=set)
    """(edge, `auto` or `one`); the number of layers is known once the checkpoint is."""
    lens: bool = False
    twins: set[str] = field(default_factory=set)
    """Edges that the other methods are asked about too, at `auto`."""

    def add(self, reader: Reader) -> None:
        """Add what one mechanism reads."""
        widths = ("auto", "one") if reader.widths == "both" else (reader.widths,)
        self.sweeps |= set(product(reader.edges, widths))
        self.lens |= reader.lens
        if reader.has_twins:
            self.twins |= set(reader.edges)

    def union(self, other: Need) -> Need:
        """What both read."""
        return Need(self.sweeps | other.sweeps, self.lens or other.lens, self.twins | other.twins)

    def arguments(self, width: int) -> dict[str, Any]:
        """Keyword arguments for `Measurements.ensure`, where `auto` is `width` layers."""
        pairs = {(edge, 1 if name == "one" else width) for edge, name in self.sweeps}
        return {"pairs": tuple(sorted(pairs)), "lens": self.lens}

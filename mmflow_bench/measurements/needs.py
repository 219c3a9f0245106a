"""What mechanisms read of one task, gathered so that one pass over the samples measures it all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol


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


@dataclass(slots=True)
class Need:
    """Edges, windows and lens that some mechanisms read of one task."""

    edges: set[str] = field(default_factory=set)
    widths: set[str] = field(default_factory=set)
    """`auto` and `one`; the number of layers is known once the checkpoint is."""
    lens: bool = False

    def add(self, reader: Reader) -> None:
        """Add what one mechanism reads."""
        self.edges |= set(reader.edges)
        if reader.edges:
            self.widths |= {"auto", "one"} if reader.widths == "both" else {reader.widths}
        self.lens |= reader.lens

    def union(self, other: Need) -> Need:
        """What both read."""
        return Need(self.edges | other.edges, self.widths | other.widths, self.lens or other.lens)

    def arguments(self, width: int) -> dict[str, Any]:
        """Keyword arguments for `Measurements.ensure`, where `auto` is `width` layers."""
        widths = {1 if name == "one" else width for name in self.widths}
        return {
            "edges": tuple(sorted(self.edges)),
            "widths": tuple(sorted(widths)),
            "lens": self.lens,
        }

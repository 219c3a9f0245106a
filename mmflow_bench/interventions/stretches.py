"""Edges that are cut in some depths of the decoder: what several of which are cut at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Edge

_ROUNDING = 1e-9
"""Keeps 0.35 * 20 from being a hair above 7."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Edges between two unions of roles, in the layers of a range of depths or outside of it.

    A depth is layer / number of layers, as places of drops are (docs/decisions/002).
    """

    edge: Edge
    low: float = 0.0
    high: float = 1.0
    is_outside: bool = False
    """Whether the layers are those outside of `low` to `high`, and not those within."""
    spares_self: bool = False
    """Whether a position that is source and target still attends to itself."""

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise KnockoutError(
                f"depths from 0 to 1, the lower one first, got {self.low:g} to {self.high:g} "
                f"({self.edge}); a depth is layer / number of layers"
            )

    @classmethod
    def of(
        cls,
        edge: str,
        *,
        within: Iterable[float] | None = None,
        outside: Iterable[float] | None = None,
        spares_self: bool = False,
    ) -> Stretch:
        """A stretch as people write it: in all layers, or within or outside of a band of depths.

        >>> str(Stretch.of("image -> question", outside=(0, 0.42)))
        'image->question outside 0-0.42'

        Raises:
            KnockoutError: It is within one band and outside of another, or is no edge.
        """
        if within is not None and outside is not None:
            raise KnockoutError(
                f"depths within a band or outside of one, got both ({edge}); cut two stretches"
            )
        low, high = (0.0, 1.0) if within is outside is None else tuple(within or outside or ())
        return cls(
            edge=Edge.parse(edge),
            low=low,
            high=high,
            is_outside=outside is not None,
            spares_self=spares_self,
        )

    def layers(self, count: int) -> Iterator[range]:
        """The layers in a decoder of `count`, in contiguous ranges.

        >>> list(Stretch.of("question -> last", outside=(0.35, 0.75)).layers(40))
        [range(0, 14), range(31, 40)]
        """
        low, high = self.low * count - _ROUNDING, self.high * count + _ROUNDING
        chosen = [layer for layer in range(count) if (low <= layer <= high) != self.is_outside]
        # Within a range, layers and their places go up together.
        for _, run in groupby(enumerate(chosen), key=lambda at: at[1] - at[0]):
            layers = [layer for _, layer in run]
            yield range(layers[0], layers[-1] + 1)

    def __str__(self) -> str:
        where = "" if self == _everywhere(self) else f" {self._depths}"
        return f"{self.edge}{where}{' but to itself' if self.spares_self else ''}"

    @property
    def _depths(self) -> str:
        return f"{'outside' if self.is_outside else 'within'} {self.low:g}-{self.high:g}"


def _everywhere(stretch: Stretch) -> Stretch:
    return Stretch(edge=stretch.edge, spares_self=stretch.spares_self)

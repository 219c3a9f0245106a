"""Which window centres of a curve lie beyond its first drop, by the curve of single layers.

Windows reach further than the layers that are hit, so that one transfer looks like two; a single
layer that is cut tells where the first drop ends (docs/decisions/023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmflow_bench.mechanisms.bands import CONSISTENT, LOWEST
from mmflow_bench.statistics import drops
from mmflow_bench.statistics.curves import Curves, Numbers
from mmflow_bench.statistics.resampling import ImageMeans, Means, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """What tells the centres beyond the first drop from the others."""

    means: ImageMeans
    """Single layers, on the images of the curve that is looked at."""
    reach: int
    """Layers that a window holds on either side of its centre."""
    floor: float
    """Drops that are no deeper are none."""

    def centres(self, columns: list[int]) -> list[int]:
        """Those of `columns` that lie beyond the first drop, by all images."""
        return np.flatnonzero(self.places(self.means.mean[None], columns)[0]).tolist()

    def halves(
        self, weights: Weights, columns: list[int], *, is_beyond: bool = True
    ) -> tuple[drops.Places, drops.Places]:
        """Which of `columns` lie beyond the first drop, or not, by either half of the images."""
        one, two = self.means.halves(weights)
        return (
            self.places(one, columns, is_beyond=is_beyond),
            self.places(two, columns, is_beyond=is_beyond),
        )

    def places(self, single: Curves, columns: list[int], *, is_beyond: bool = True) -> drops.Places:
        """The same by curves of single layers."""
        layers = single.shape[1]
        ends = drops.end_of_first_drop(
            single,
            lowest=len(LOWEST.centres(layers, 1)),
            gap=int(CONSISTENT * layers + 1e-9),
            floor=self.floor,
        )
        lowest_held = np.arange(layers) - self.reach
        is_asked = np.isin(np.arange(layers), columns)
        return np.asarray(is_asked & ((lowest_held > ends[:, None]) == is_beyond))

    def lowest(self, means: Means, weights: Weights, columns: list[int]) -> Numbers:
        """The deepest change at one of `columns` beyond the first drop; 0 where there is none."""
        places = self.places(self.means.curves(weights), columns)
        deepest = np.where(places, means.curves(weights), np.inf).min(axis=1)
        return np.where(places.any(axis=1), deepest, 0.0)

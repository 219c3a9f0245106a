"""Bands of depth, scaled to the checkpoint, and the paper's words for sizes as numbers.

The paper speaks of layers of a 40-layer decoder and of knockouts around a layer. Both scale: a band
is a range of depth (centre / number of layers), and "the first layers" are the centres whose window
holds layer 0, which is what a transfer in layer 0 alone produces (docs/decisions/002).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mmflow_bench.errors import MechanismError

SIGNIFICANT = -0.10
"""The paper's "significant", "sharp": a drop by a tenth or more."""
NEGLIGIBLE = 0.05
"""The paper's "negligible", "not observed": within this of zero at every layer."""
SLIGHT = -0.02
"""The paper's "slight", "smaller decreases": there is no verdict on less."""
CONSISTENT = 0.1
"""Depths of the paper's "consistent layers" differ by no more than this."""
APPEARED = 0.10
"""An answer has appeared where the lens gives it a tenth or more."""
TEXT_ANSWERABLE = 0.20
"""Questions need their image where the accuracy falls by at least this much without it."""
INTACT = 0.02
"""The paper's "accuracy intact": two points are lost at most, where it gives no number."""
LEAST_LOG_ODDS = 0.1
"""An effect that changes the odds of an answer by less than a tenth has no shares to be told."""
TIMES_FLOOR = 3
"""No verdict may rest on an effect below this many times the noise floor (docs/decisions/002)."""
ROUNDING = 1e-4
"""Nor on one below this, where a knockout of nothing changes nothing: processors differ by less."""
HIDDEN = "what there is may be the instrument's noise, or an effect: measure with dtype=float32"


def least_effect(noise_floor: float) -> float:
    """The smallest effect that is one, as a fraction or a probability.

    Args:
        noise_floor: The largest change that a knockout of nothing makes.
    """
    return max(TIMES_FLOOR * noise_floor, ROUNDING)


def hidden_by_noise(effect: float, floor: float) -> str:
    """Why nothing is decided where no effect is seen; empty where there is none.

    Args:
        effect: The largest one that was measured, as a fraction or a probability.
        floor: Up to this, an effect may be the instrument's own noise.
    """
    return HIDDEN if ROUNDING < effect <= floor else ""


@dataclass(frozen=True, slots=True)
class Band:
    """A range of depths; unpacks to its two ends: `depth.within(*MID)`."""

    low: float
    high: float
    first_layer: Literal["counts", "only", "never"] = "counts"
    """What becomes of the centres whose window holds layer 0: they count like any other, they are
    the band, or they are left out."""
    is_open: bool = False
    """Whether `low` itself is left out."""

    def __post_init__(self) -> None:
        # Layers instead of depths would leave no centre, or every one.
        if not 0 <= self.low <= self.high <= 1:
            raise MechanismError(
                f"a band of depths from 0 to 1, got {self.low:g} to {self.high:g}; a depth is "
                "layer / number of layers"
            )

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    def centres(self, layers: int, width: int) -> tuple[int, ...]:
        """Window centres in the band, ascending; empty where the decoder is too shallow for it.

        >>> B1.centres(40, 9), B2.centres(32, 7), MID.centres(12, 3)
        ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9, 10, 11, 12, 13), (5, 6, 7, 8, 9))
        """
        reach = min(layers, width // 2 + 1)
        if self.first_layer == "only":
            return tuple(range(reach))
        # The tolerance keeps 0.35 * 20 from being a hair above 7.
        low = math.ceil(self.low * layers - 1e-9)
        if self.is_open:
            low = math.floor(self.low * layers + 1e-9) + 1
        high = min(layers - 1, math.floor(self.high * layers + 1e-9))
        return tuple(range(max(low, reach if self.first_layer == "never" else 0), high + 1))


B1 = Band(0.0, 0.0, first_layer="only")
"""Where the paper sees the first transfer from the image: "layers 0-4" of 40."""
B2 = Band(0.15, 0.42, first_layer="never")
"""Where it sees the second: "around the 10th" of 40."""
LOWEST = Band(0.0, 0.2)
"""The single layers that windows of `B1` hold: the first transfer begins in one of them."""
MID = Band(0.35, 0.75)
"""The middle layers."""
HIGH = Band(0.75, 1.0, is_open=True)
"""The layers above the middle ones."""
LATER_HALF = Band(0.5, 1.0, is_open=True)
"""Everything past the middle."""
EVERYWHERE = Band(0.0, 1.0)

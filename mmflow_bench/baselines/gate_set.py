"""The pre-declared gate set: what is compared between a checkpoint and its base, and how.

Declared before anything is measured, so that the correction for asking much is honest: nobody can
look at all curves and then name the one that moved. Each row reads one number off the curves that
the mechanism of its name reads (docs/decisions/016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmflow_bench.mechanisms.bands import B1, B2, EVERYWHERE, LATER_HALF, Band
from mmflow_bench.mechanisms.mechanism import (
    CAPTION_LAST,
    IMAGE_LAST,
    IMAGE_QUESTION,
    LAST_LAST,
    OTHER_QUESTION,
    QUESTION_LAST,
    RELATED_QUESTION,
)

Reading = Literal["accuracy", "peak", "centre", "lens max", "lens final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One number that is compared on every task."""

    id: str
    """The mechanism that it belongs to."""
    reading: Reading
    edge: str = ""
    band: Band = EVERYWHERE
    probe: str = ""

    @property
    def unit(self) -> str:
        """Of the number: decides its tolerance."""
        if self.reading == "accuracy":
            return "accuracy"
        if self.reading == "centre":
            return "depth"
        return "probability" if self.probe else "fraction"


GATE_SET = (
    GateRow(id="acc-95", reading="accuracy"),
    GateRow(id="last-last-null", reading="peak", edge=LAST_LAST),
    GateRow(id="q-last-drop", reading="peak", edge=QUESTION_LAST),
    GateRow(id="q-last-mid", reading="centre", edge=QUESTION_LAST),
    GateRow(id="img-last-null", reading="peak", edge=IMAGE_LAST),
    GateRow(id="imgq-drop1", reading="peak", edge=IMAGE_QUESTION, band=B1),
    GateRow(id="imgq-drop2", reading="peak", edge=IMAGE_QUESTION, band=B2),
    GateRow(id="imgq-low-only", reading="peak", edge=IMAGE_QUESTION, band=LATER_HALF),
    GateRow(id="oth-dom-1", reading="peak", edge=OTHER_QUESTION, band=B1),
    GateRow(id="rel-dom-2", reading="peak", edge=RELATED_QUESTION, band=B2),
    GateRow(id="lens-lower-rise", reading="lens max", probe="noncapitalized"),
    GateRow(id="lens-upper-late", reading="lens final", probe="capitalized"),
    GateRow(id="uni-cap-last-low", reading="peak", edge=CAPTION_LAST),
)

"""What a mechanism adds to the gate set: one number that two checkpoints are compared by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mmflow_bench.errors import MechanismError
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.mechanisms.bands import EVERYWHERE, Band

Reading = Literal["accuracy", "peak", "centre", "lens max", "lens final"]


@dataclass(frozen=True, slots=True)
class Gate:
    """A number that is compared on every task, as a marker declares it.

    >>> Gate("peak", "image -> question").edge
    'image->question'
    """

    reading: Reading
    of: str = ""
    """The edge, or the probe of the logit lens; nothing for an accuracy."""
    band: Band = EVERYWHERE

    def __post_init__(self) -> None:
        # Otherwise it would only be found out after everything has been measured.
        if self.reading not in get_args(Reading):
            known = ", ".join(get_args(Reading))
            raise MechanismError(f"a reading of the gate ({known}), got {self.reading!r}")
        if bool(self.of) == (self.reading == "accuracy"):
            raise MechanismError(
                "an edge or a probe for every reading but the accuracy, got "
                f"{self.of!r} for {self.reading!r}"
            )
        _ = self.edge

    @property
    def probe(self) -> str:
        """The probe of the logit lens; empty where an edge is read."""
        return self.of if self.reading.startswith("lens") else ""

    @property
    def edge(self) -> str:
        """The edge as stores spell it; empty where none is read."""
        return str(Edge.parse(self.of)) if self.of and not self.probe else ""

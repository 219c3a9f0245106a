"""What is kept of the logits of the last position: of a large vocabulary they take much memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from mmflow_bench.interventions.knockout import Intervention


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """What is kept under interventions by one method, whoever has computed their logits."""

    read: Callable[[Float[Tensor, "row vocab"]], Float[Tensor, "row *kept"]]
    """Given the logits of some rows; one entry for each."""
    kept: dict[Intervention, Tensor] = field(default_factory=dict)


def all_logits() -> Readout:
    """All logits are kept."""
    return Readout(read=lambda logits: logits)


def no_logits() -> Readout:
    """None are."""
    return Readout(read=lambda logits: logits[:, :0])

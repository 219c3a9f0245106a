"""Massive activations: single dimensions that dwarf the rest of the residual stream.

Language models rest their attention on positions that have them, the first position above all.
Image positions that are massive in the same dimensions are visual attention sinks (Kang et al.,
ICLR 2025, arXiv:2503.03321).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.positions.sinks import MASSIVE


def massive_like_the_first(
    hidden: Float[Tensor, "position hidden"],
) -> Float[Tensor, "position"]:
    """How massive every position is where the first one is massive.

    The largest |x| / rms(x) over the dimensions in which it is at least `MASSIVE` at the first
    position; zero everywhere where there is no such dimension.
    """
    states = hidden.float()
    scale = states.square().mean(dim=-1, keepdim=True).sqrt()
    ratio = states.abs() / scale.clamp(min=torch.finfo(torch.float32).tiny)
    is_sink_dimension = ratio[0] >= MASSIVE
    if not bool(is_sink_dimension.any()):
        return torch.zeros(len(ratio), device=ratio.device)
    return ratio[:, is_sink_dimension].amax(dim=-1)

"""Weights as coarse as quantised ones: rounded to the nearest of a few levels, kept as they were.

What quantisation does to a checkpoint's answers is done by the rounding; that integers take less
room is another matter, and nothing here is stored as one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROUNDINGS = {"int8": (8, None), "int4": (4, 32)}
"""Name -> bits, and how many weights of a row share a scale; None is the whole row."""


def round_matrices(layers: nn.Module, bits: int, group: int | None) -> float:
    """Round every matrix in place, each of whose rows makes one output channel.

    Returns:
        How far they have moved together, as a share of their norm.
    """
    moved = total = 0.0
    with torch.no_grad():
        for module in layers.modules():
            if isinstance(module, nn.Linear):
                found = rounded(module.weight, bits, group)
                moved += (found - module.weight).square().sum().item()
                total += module.weight.square().sum().item()
                module.weight.copy_(found)
    return float((moved / total) ** 0.5)


def rounded(weight: Tensor, bits: int, group: int | None = None) -> Tensor:
    """The nearest levels, symmetric around zero, the outermost at the largest weight of a group.

    Args:
        weight: (output, input).
        bits: Of an integer; 4 of them make 15 levels that are used.
        group: Neighbours in a row that share a scale; the last may be fewer.
    """
    most = 2 ** (bits - 1) - 1
    parts = []
    for part in weight.split(group or weight.shape[1], dim=1):
        step = part.abs().amax(dim=1, keepdim=True) / most
        # A group of zeros stays one.
        step = torch.where(step > 0, step, torch.ones_like(step))
        parts.append((part / step).round() * step)
    return torch.cat(parts, dim=1)

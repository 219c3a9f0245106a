"""LoRA on every matrix of the language model's layers, by hand and under peft's names.

The project does not require peft, but reads its adapters: what is trained here is written as peft
writes it, and merged by `mmflow_bench.checkpoints.adapters`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

SCALE = 2.0
"""alpha / rank."""


class LoraLinear(nn.Module):
    """A frozen matrix in half precision and what is added to it."""

    def __init__(self, frozen: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(frozen.weight.detach().bfloat16(), requires_grad=False)
        outputs, inputs = frozen.weight.shape
        self.lora_A = nn.Parameter(torch.randn(rank, inputs) / inputs**0.5)
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.bfloat16()
        small = linear(linear(inputs, self.lora_A.bfloat16()), self.lora_B.bfloat16())
        return linear(inputs, self.weight) + SCALE * small


def add_lora(layers: nn.ModuleList, rank: int, seed: int) -> dict[str, Tensor]:
    """Put an adapter on every matrix of the layers; name of the matrix and part -> parameter."""
    found: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in list(layers.named_modules()):
            if isinstance(module, nn.Linear):
                parent, _, last = name.rpartition(".")
                adapted = LoraLinear(module, rank)
                setattr(layers.get_submodule(parent), last, adapted)
                found[f"{name}.lora_A"] = adapted.lora_A
                found[f"{name}.lora_B"] = adapted.lora_B
    return found

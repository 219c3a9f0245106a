"""States of a late layer put in the place of an early layer's, and the model run on from there.

What positions have become late in the decoder may be of more use to those that read them early
(back-patching: Biran et al. 2024, arXiv:2406.12775; of image positions: Nikankin et al. 2025,
arXiv:2506.09047). Each pass is a whole one: nothing is shared with the clean pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes, last_logits, layer_hooks
from mmflow_bench.interventions.recording import CleanPass

States = Float[Tensor, "position hidden"]


@torch.inference_mode()
def states_entering(
    checkpoint: Instrumentable,
    inputs: Mapping[str, Tensor],
    *,
    positions: Sequence[int],
    layers: Collection[int],
) -> dict[int, States]:
    """The residual stream at some positions where it enters each of some decoder layers.

    `inputs` is what `clean_passes` takes for one sample, without padding.

    Raises:
        KnockoutError: There is no such layer.
    """
    _refuse_outside(checkpoint, layers)
    seen = _Seen(list(positions), frozenset(layers))
    with layer_hooks(checkpoint.parts, seen.enter):
        last_logits(checkpoint, inputs)
    return seen.states


@torch.inference_mode()
def patched_pass(
    checkpoint: Instrumentable,
    inputs: Mapping[str, Tensor],
    *,
    positions: Sequence[int],
    layer: int,
    states: States,
) -> CleanPass:
    """The pass of a sample whose states at some positions are replaced where they enter a layer.

    It has all that a clean pass has, so that the answer can be decoded from it.

    Raises:
        KnockoutError: There is no such layer, or no state for every position.
    """
    _refuse_outside(checkpoint, [layer])
    if states.shape[0] != len(positions):
        raise KnockoutError(
            f"a state for each of {len(positions)} positions, got {states.shape[0]}; take them "
            "with `states_entering` at the same positions"
        )

    def enter(
        reached: int, hidden: Float[Tensor, "row position hidden"]
    ) -> Float[Tensor, "row position hidden"] | None:
        if reached != layer:
            return None
        patched = hidden.clone()
        patched[:, list(positions)] = states.to(hidden)
        return patched

    # Hooks are called in the order of their making: what is recorded is what was patched.
    with layer_hooks(checkpoint.parts, enter):
        return clean_passes(checkpoint, [inputs])[0]


def _refuse_outside(checkpoint: Instrumentable, layers: Collection[int]) -> None:
    count = len(checkpoint.parts.decoder_layers)
    outside = [layer for layer in layers if not 0 <= layer < count]
    if outside:
        raise KnockoutError(f"decoder layers in 0..{count - 1}, got {outside[0]}")


@dataclass(frozen=True)
class _Seen:
    """The states that a pass has brought to some layers."""

    positions: list[int]
    layers: frozenset[int]
    states: dict[int, States] = field(default_factory=dict)

    def enter(self, layer: int, hidden: Float[Tensor, "row position hidden"]) -> None:
        if layer in self.layers:
            self.states[layer] = hidden[0, self.positions].clone()

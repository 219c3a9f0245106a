"""States of a late layer put in the place of an early layer's, and the model run on from there.

What positions have become late in the decoder may be of more use to those that read them early
(back-patching: Biran et al. 2024, arXiv:2406.12775; of image positions: Nikankin et al. 2025,
arXiv:2506.09047).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes, layer_hooks, refuse_outside
from mmflow_bench.interventions.recording import CleanPass

States = Float[Tensor, "position hidden"]


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
    refuse_outside(checkpoint, [layer])
    if states.shape[0] != len(positions):
        raise KnockoutError(
            f"a state for each of {len(positions)} positions, got {states.shape[0]}; take them "
            "from `CleanPass.entering` at the same positions"
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

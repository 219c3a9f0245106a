"""What the question of a planted checkpoint loses of what it says, from its design alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.errors import CheckpointError, KnockoutError
from mmflow_bench.planted.codebook import Code, heard
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.variants import design_of

_WITHOUT = ("mlp", "attention", "image->question")


def question_loss(name: str, without: str, *, width: int) -> NDArray[np.float64]:
    """1 - J of the words that the question says, by the layer at which something is taken away.

    Args:
        name: A planted checkpoint with a codebook.
        without: `mlp` or `attention` in windows that begin at the layer, or `image->question` in
            windows that are centred there.
        width: Layers of a window, which is cut off at the ends of the decoder.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it has no codebook.
        KnockoutError: Nothing else has a closed form.
    """
    design = design_of(name)
    if not design.codebook:
        raise CheckpointError(
            f"a checkpoint with a codebook, got {name!r}; what its question says is not written"
        )
    if without not in _WITHOUT:
        raise KnockoutError(f"one of {', '.join(_WITHOUT)}, got {without!r}; measure others")
    clean, losses = heard(design.codebook, ()), []
    for layer in range(design.layers):
        first = layer - width // 2 if without == "image->question" else layer
        window = range(max(0, first), min(design.layers, first + width))
        lost = [
            place
            for place, code in enumerate(design.codebook)
            if _is_lost(code, design, without, window)
        ]
        left = heard(design.codebook, lost)
        losses.append(1 - len(clean & left) / len(clean | left))
    return np.array(losses)


def _is_lost(code: Code, design: Design, without: str, window: range) -> bool:
    """Whether a code is not written while something is taken away in a window of layers."""
    read = {"context": (design.context_layer,), "objects": (design.lookup_layer,)}
    layers = read.get(code.by, ())
    if without == "attention":
        if code.by == "objects":
            layers = (*layers, design.gather_layer)
        layers = (code.layer,) if code.by == "attention" else layers
    elif without == "mlp":
        layers = () if code.by == "attention" else (code.layer,)
    return any(layer in window for layer in layers)

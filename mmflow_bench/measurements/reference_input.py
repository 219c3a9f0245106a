"""What a checkpoint's input looks like, as two hashes of one rendered scene.

Prompt template, tokenizer and image processor are files, and the same input may be written in many
ways. Two checkpoints that turn the same sample into the same tokens and the same pixels are asked
the same thing, whatever their files say; others are another experiment.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

from mmflow_bench.errors import MMFlowError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.scenes.questions import scene_samples

UNKNOWN = ""
"""The checkpoint cannot be shown the scene, so nothing is known of its input."""
_CELLS = 4
_DIGITS = 2


def reference_input(checkpoint: Any) -> dict[str, str]:
    """Hashes of the tokens and of the pixels that the reference scene becomes.

    Pixels are averaged over a coarse grid and rounded first, so that another machine's last bits
    do not count and another mean, crop or resolution does.

    Args:
        checkpoint: A `LoadedCheckpoint`.
    """
    (sample,) = scene_samples(per_task=1, tasks=("ChooseAttr",))
    try:
        encoded = encode(sample, checkpoint)
    except MMFlowError:
        return {"reference_prompt": UNKNOWN, "reference_pixels": UNKNOWN}
    tokens = f"{encoded.prompt}\n{encoded.input_ids.tolist()}"
    pixels = [_summary(name, value) for name, value in sorted(encoded.model_inputs.items())]
    return {"reference_prompt": _digest(tokens), "reference_pixels": _digest("\n".join(pixels))}


def _summary(name: str, value: Tensor) -> str:
    shape = tuple(value.shape)
    if not value.is_floating_point():
        return f"{name} {shape} {value.flatten().tolist()[:64]}"
    planes = value.float().reshape(-1, 1, *shape[-2:]) if value.ndim >= 3 else value.float()
    if value.ndim >= 3:
        planes = torch.nn.functional.adaptive_avg_pool2d(planes, _CELLS)
    # Adding zero makes a negative zero positive.
    rounded = [round(number, _DIGITS) + 0.0 for number in planes.flatten().tolist()]
    return f"{name} {shape} {rounded}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The names of weights in the original LLaVA format, and what transformers calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mmflow_bench.errors import CheckpointError

LINEAR_PROJECTOR = "model.mm_projector.weight"
NEWLINE = "model.image_newline"
_TOWER = "model.vision_tower."
_PROJECTOR = "model.multi_modal_projector."

_RENAMES = (
    (r"model\.mm_projector\.0\.", f"{_PROJECTOR}linear_1."),
    (r"model\.mm_projector\.2\.", f"{_PROJECTOR}linear_2."),
    (r"model\.mm_projector\.(?=weight$|bias$)", f"{_PROJECTOR}linear_1."),
    (r"model\.vision_tower\.vision_tower\.(vision_model\.)?", _TOWER),
    (r"model\.image_newline$", NEWLINE),
    (r"model\.(?!mm_|vision_|image_newline)", "model.language_model."),
    (r"lm_head\.", "lm_head."),
)
_COMPUTED = re.compile(r"(rotary_emb\.inv_freq|embeddings\.position_ids)$")
"""Buffers that are computed from the configuration, which older versions saved."""
_POOLED = re.compile(r"model\.vision_tower\.vision_tower\.(vision_model\.)?head\.")
"""SigLIP's pooling, which no LLaVA uses."""


def native_name(name: str) -> str | None:
    """What transformers calls a weight of the original format; None if the format has no such."""
    for pattern, replacement in _RENAMES:
        match = re.match(pattern, name)
        if match is not None:
            return replacement + name[match.end() :]
    return None


def native_weights(original: Mapping[str, Tensor], *, has_newline: bool) -> dict[str, Tensor]:
    """Weights of the original format under transformers' names.

    Args:
        original: Under the names of the original format.
        has_newline: Whether the model marks ends of rows; where it does not, the mark that some
            checkpoints hold all the same is not used.

    Raises:
        CheckpointError: A weight is none of the format's.
    """
    native: dict[str, Tensor] = {}
    unknown = []
    for name, tensor in original.items():
        if _COMPUTED.search(name) or _POOLED.match(name):
            continue
        # Some trainers save it all the same; the model of LLaVA-1.5 has no place for it.
        if name == NEWLINE and not has_newline:
            continue
        renamed = native_name(name)
        if renamed is None:
            unknown.append(name)
        else:
            native[renamed] = tensor
    if unknown:
        examples = ", ".join(sorted(unknown)[:3])
        raise CheckpointError(
            f"weights of a LLaVA only, got {len(unknown)} others, such as {examples};"
            " a part of this checkpoint is not one that transformers' LLaVA models have"
        )
    if LINEAR_PROJECTOR in original:
        _complete_linear(native)
    return native


def _complete_linear(native: dict[str, Tensor]) -> None:
    """A projector of one layer as one of two: the second changes nothing, not even by rounding."""
    weight = native[f"{_PROJECTOR}linear_1.weight"]
    size = len(weight)
    native.setdefault(f"{_PROJECTOR}linear_1.bias", torch.zeros(size, dtype=weight.dtype))
    native[f"{_PROJECTOR}linear_2.weight"] = torch.eye(size, dtype=weight.dtype)
    native[f"{_PROJECTOR}linear_2.bias"] = torch.zeros(size, dtype=weight.dtype)


def tower_weights(tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a folder of its own, vision tower or whole CLIP, under the original's names."""
    vision = {
        name.removeprefix("vision_model."): tensor
        for name, tensor in tower.items()
        if not name.startswith(("text_model.", "logit_", "text_projection", "visual_projection"))
    }
    return {f"model.vision_tower.vision_tower.vision_model.{k}": v for k, v in vision.items()}


def without_wrapping(trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is trained next to an adapter, under the names of the model without the adapter."""
    prefix = "base_model.model."
    return {name.removeprefix(prefix): tensor for name, tensor in trained.items()}


def projector_weights(trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The content of a file that holds a projector alone."""
    named = without_wrapping(trained)
    return {
        name if name.startswith("model.") else f"model.{name}": tensor
        for name, tensor in named.items()
    }

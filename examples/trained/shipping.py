"""What a training leaves behind, as peft and this package's `learned` stage read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from lora import SCALE
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmflow_bench.learned.assembling import SIGHT

_LAYERS = "base_model.model.model.language_model.layers."
_PROJECTOR = "multi_modal_projector."
_ADAPTER = "adapter_model.safetensors"
MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def ship_sight(folder: Path, tower: nn.Module, projector: nn.Module) -> None:
    """Tower and projector as they are before the language model learns to read them."""
    save_file(
        _half({**_named("vision_tower.", tower), **_named(_PROJECTOR, projector)}), folder / SIGHT
    )


def ship_adapter(folder: Path, trained: Mapping[str, Tensor], rank: int) -> None:
    """LoRA and the trained projector, as a peft adapter.

    Args:
        folder: Made if it is not there.
        trained: As `Student.trained` names them; anything else is left out.
        rank: Of the adapter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {_shipped_name(name): tensor for name, tensor in trained.items()}
    save_file(_half(tensors), folder / _ADAPTER, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": "../base",
        "r": rank,
        "lora_alpha": SCALE * rank,
        "target_modules": MATRICES,
        "modules_to_save": ["multi_modal_projector"],
        "lora_dropout": 0.0,
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def restore_adapter(folder: Path, trained: Mapping[str, Tensor]) -> None:
    """Put what `ship_adapter` has written back in its place."""
    tensors = load_file(folder / _ADAPTER)
    with torch.no_grad():
        for name, weight in trained.items():
            weight.copy_(tensors[_shipped_name(name)])


def _shipped_name(name: str) -> str:
    if name.startswith("projector."):
        return f"base_model.model.model.{_PROJECTOR}{name.removeprefix('projector.')}"
    return f"{_LAYERS}{name}.weight"


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"model.{prefix}{name}": value for name, value in module.state_dict().items()}


def _half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().bfloat16().contiguous() for name, value in tensors.items()}

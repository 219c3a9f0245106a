"""LoRA adapters, merged into the weights that they were trained on: W + scale * B A.

The sum is taken in single precision and rounded once. What an adapter holds and what is merged must
be the same: a tensor that goes nowhere, or half a pair, is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.ingredients import ADAPTER_CONFIG
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.checkpoints.state_dicts import read_tensors
from mmflow_bench.checkpoints.weight_files import ADAPTER_WEIGHTS
from mmflow_bench.errors import CheckpointError

_PREFIX = "base_model.model."
_PART = re.compile(r"\.(lora_[AB])(?:\.default)?\.weight$")
_WHOLE = re.compile(r"\.(?:modules_to_save(?:\.default)?|base_layer|original_module)(?=\.)")
_RENAMES = (
    # As transformers called them before its fifth version.
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
    (r"^(vision_tower|multi_modal_projector|image_newline)\b", r"model.\1"),
    (r"^model\.vision_tower\.vision_model\.", "model.vision_tower."),
)


def merge_adapter(
    model: nn.Module, folder: Path, name_of: Callable[[str], str | None] | None = None
) -> None:
    """Add what an adapter has learned to the weights of a model.

    Args:
        model: Not quantised and not offloaded.
        folder: With `adapter_config.json` and `adapter_model.*`.
        name_of: From the names that the adapter was trained on to those of the model, without the
            name of a tensor at the end; None for transformers' own names, old or new.

    Raises:
        CheckpointError: It is not a LoRA, is damaged, or does not fit the model.
    """
    settings = _settings(folder)
    parameters = dict(model.named_parameters())
    names = name_of or (lambda name: _known_as(name, parameters))
    pairs: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for key, tensor in _tensors(folder).items():
        name = key.removeprefix(_PREFIX)
        part = _PART.search(name)
        if part is None:
            whole[_WHOLE.sub("", name)] = tensor
        else:
            pairs.setdefault(name[: part.start()], {})[part.group(1)] = tensor
    unknown = [name for name in whole if names(name) not in parameters]
    unknown += [module for module in pairs if names(f"{module}.weight") not in parameters]
    _refuse(folder, "goes to no weight of the model", unknown)
    _refuse(folder, "is half a pair", [name for name, pair in pairs.items() if len(pair) < 2])
    with torch.no_grad():
        for name, tensor in whole.items():
            _fitting(parameters[str(names(name))], tensor, name).copy_(tensor)
        for module, pair in pairs.items():
            delta = _delta(module, pair, settings)
            weight = _fitting(parameters[str(names(f"{module}.weight"))], delta, module)
            weight.copy_(weight.float() + delta.to(weight.device))


def _settings(folder: Path) -> Json:
    settings = read_json(folder / ADAPTER_CONFIG)
    kind = str(settings.get("peft_type", "LORA")).upper()
    # Each of these makes the change another one than scale * B A.
    unsupported = [
        key
        for key in ("use_dora", "alora_invocation_tokens", "layer_replication", "megatron_config")
        if settings.get(key)
    ]
    if kind != "LORA" or unsupported:
        raise CheckpointError(
            f"a LoRA adapter, got {', '.join([kind, *unsupported])} ({folder / ADAPTER_CONFIG}); "
            "merge it with peft's `merge_and_unload` and save the whole model"
        )
    return settings


def _tensors(folder: Path) -> dict[str, Tensor]:
    for name in ADAPTER_WEIGHTS:
        if (folder / name).is_file():
            return read_tensors(folder / name)
    raise CheckpointError(
        f"an adapter's weights in {' or '.join(ADAPTER_WEIGHTS)}, got none ({folder}); check that "
        "the folder is complete"
    )


def _known_as(name: str, parameters: Mapping[str, Tensor]) -> str | None:
    """The model's name for it: as given, or as transformers has renamed it since."""
    for candidate in (name, f"model.{name}"):
        if candidate in parameters:
            return candidate
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name if name in parameters else None


def _refuse(folder: Path, fault: str, names: list[str]) -> None:
    if names:
        raise CheckpointError(
            f"an adapter that fits its base model, got {len(names)} parts of which each {fault}, "
            f"such as {', '.join(sorted(names)[:3])} ({folder}); name the base that it was trained "
            "on: --model-args=base=PATH"
        )


def _delta(module: str, pair: Mapping[str, Tensor], settings: Json) -> Tensor:
    """The change of one weight, scale * B A, laid out as the weight is."""
    rank = len(pair["lora_A"])
    # As peft does: by the end of the module's name.
    own: Mapping[str, float] = settings.get("alpha_pattern") or {}
    found = (value for name, value in own.items() if re.match(rf"(.*\.)?({name})$", module))
    alpha = next(found, settings.get("lora_alpha", rank))
    scale = alpha / (rank**0.5 if settings.get("use_rslora") else rank)
    try:
        product = pair["lora_B"].float() @ pair["lora_A"].float()
    except RuntimeError as error:
        raise _misshapen(module, pair["lora_B"].shape, pair["lora_A"].shape) from error
    return scale * (product.T if settings.get("fan_in_fan_out") else product)


def _fitting(weight: Tensor, tensor: Tensor, name: str) -> Tensor:
    if weight.shape != tensor.shape:
        raise _misshapen(name, tensor.shape, weight.shape)
    return weight


def _misshapen(name: str, got: torch.Size, expected: torch.Size) -> CheckpointError:
    return CheckpointError(
        f"an adapter of the shape {tuple(expected)}, got {tuple(got)} ({name}); name the base that "
        "it was trained on: --model-args=base=PATH"
    )

"""Where a model goes and how it is stored there: what transformers is told while loading."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from transformers import BitsAndBytesConfig, PreTrainedModel

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.model_args import memory_limits
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError


def load_placed(
    read: Callable[..., Any], source: str | None, spec: CheckpointSpec, **arguments: object
) -> tuple[PreTrainedModel, Json]:
    """What a `from_pretrained` reads, put where the spec wants it, and its report on weights.

    Raises:
        CheckpointError: A package that the placement needs is missing.
    """
    wanted: Json = {
        "attn_implementation": spec.attention,
        "device_map": spec.device_map,
        "max_memory": memory_limits(spec.max_memory) if spec.max_memory else None,
        "offload_folder": spec.offload_folder,
    }
    if spec.quantization is not None:
        wanted["quantization_config"] = _quantization(spec)
        # bitsandbytes quantises on the way to the device.
        wanted["device_map"] = spec.device_map or {"": spec.device}
    arguments |= {name: value for name, value in wanted.items() if value is not None}
    # Wrong shapes are refused by name, from the report.
    model, report = read(
        source, ignore_mismatched_sizes=True, output_loading_info=True, **arguments
    )
    return model, report


def is_placed(spec: CheckpointSpec) -> bool:
    """Whether loading puts every part where it belongs, and nothing may be moved afterwards."""
    return spec.device_map is not None or spec.quantization is not None


def _quantization(spec: CheckpointSpec) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CheckpointError(
            f"the package bitsandbytes, got none (--model-args=quantization={spec.quantization}); "
            "`pip install bitsandbytes`, or leave out quantization"
        )
    if spec.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    # Four bits are unpacked to compute; the default would be single precision.
    compute = torch.bfloat16 if spec.dtype == "auto" else getattr(torch, spec.dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=compute)

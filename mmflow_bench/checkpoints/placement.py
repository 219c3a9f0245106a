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


def placement(spec: CheckpointSpec) -> Json:
    """Arguments for `from_pretrained`: attention, device map and quantisation.

    Raises:
        CheckpointError: A package that they need is missing.
    """
    arguments: Json = {}
    if spec.attention is not None:
        arguments["attn_implementation"] = spec.attention
    if spec.quantization is not None:
        arguments["quantization_config"] = _quantization(spec)
        # bitsandbytes quantises on the way to the device.
        arguments["device_map"] = {"": spec.device}
    if spec.device_map is not None:
        arguments["device_map"] = spec.device_map
    if spec.max_memory is not None:
        arguments["max_memory"] = memory_limits(spec.max_memory)
    if spec.offload_folder is not None:
        arguments["offload_folder"] = spec.offload_folder
    return arguments


def load_placed(
    read: Callable[..., Any], source: str | None, spec: CheckpointSpec, **arguments: object
) -> tuple[PreTrainedModel, Json]:
    """What a `from_pretrained` reads, put where the spec wants it, and its report on weights."""
    model, report = read(
        source,
        # Wrong shapes are refused by name, from the report.
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **placement(spec),
        **arguments,
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
    compute = torch.bfloat16 if spec.dtype == "auto" else getattr(torch, spec.dtype)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=compute)

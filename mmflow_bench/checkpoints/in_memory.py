"""A model that somebody has in memory: what it is, and measuring it without leaving a trace.

It may be in the middle of its training. So while it is measured it is in evaluation mode and draws
from random numbers of its own, and afterwards everything is as it was.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from mmflow_bench.checkpoints.aliases import Processor
from mmflow_bench.errors import CheckpointError

Wrapped = TypeVar("Wrapped", bound=nn.Module)
_CHUNK = 2**26
"""Bytes that are hashed at once."""


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode while this is open; afterwards everything is as before.

    That is the mode of each module, gradients that parameters ask for, the generators of torch,
    numpy and Python, and the number of threads. Attention is exchanged, and put back, by
    whoever exchanges it (`interventions.attention`).
    """
    modes = [(module, module.training) for module in model.modules()]
    asking = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    threads = torch.get_num_threads()
    devices = sorted({one.device.index for one in model.parameters() if one.device.type == "cuda"})
    try:
        with generators_kept(devices):
            model.eval()
            yield
    finally:
        # Each module by itself: `train()` would wake those that were frozen in evaluation mode.
        for module, is_training in modes:
            module.training = is_training
        for parameter, asks in asking:
            parameter.requires_grad_(asks)
        torch.set_num_threads(threads)


@contextmanager
def generators_kept(devices: Sequence[int] = ()) -> Iterator[None]:
    """The generators of torch, numpy and Python are afterwards as they were before.

    Importing a library is enough to move one of them.

    Args:
        devices: CUDA devices whose generators are kept too.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The transformers model in what peft or data parallelism has wrapped around it.

    Raises:
        CheckpointError: There is none.
    """
    inner: object = model
    if hasattr(inner, "module") and not isinstance(inner, PreTrainedModel):
        inner = inner.module
    if hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    if not isinstance(inner, PreTrainedModel):
        raise CheckpointError(
            f"a transformers model, got {type(model).__name__}; give the model itself, or the name "
            "or folder of a checkpoint"
        )
    return inner


def content_hash(model: PreTrainedModel, processor: Processor) -> str:
    """Hex sha256 of everything that may move a number: weights, configuration, processor.

    Raises:
        CheckpointError: A weight is not here, as those of offloaded models.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        for part in _bytes(name, tensor):
            digest.update(part)
    for text in (model.config.to_json_string(use_diff=False), *_texts(processor)):
        digest.update(text.encode())
    return digest.hexdigest()


def _bytes(name: str, tensor: Tensor) -> Iterator[memoryview]:
    if tensor.is_meta:
        raise CheckpointError(
            f"a model whose weights are in memory, got {name} on no device; load it without "
            "offloading, or name its folder"
        )
    flat = tensor.detach().contiguous().flatten().view(torch.uint8)
    for part in flat.split(_CHUNK):
        yield memoryview(part.cpu().numpy())


def _texts(processor: Processor) -> Iterator[str]:
    """What prepares samples, as text."""
    tokenizer = getattr(processor, "tokenizer", processor)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    words = json.loads(backend.to_str()) if backend is not None else {}
    # How the last batch was padded is no part of what a tokenizer is.
    yield json.dumps({k: v for k, v in words.items() if k not in ("padding", "truncation")})
    yield repr(getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", ""))
    images = getattr(processor, "image_processor", None)
    yield images.to_json_string() if images is not None else ""

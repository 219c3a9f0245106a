"""How long a sequence a checkpoint knows, and which device there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlavaConfig

from mmflow_bench.checkpoints.context import longest_sequence
from mmflow_bench.checkpoints.hardware import require_device
from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError


@pytest.mark.parametrize(
    ("scaling", "positions"),
    [
        (None, 4096),
        ({"rope_type": "default"}, 4096),
        ({"rope_type": "linear", "factor": 4.0}, 16384),
        ({"type": "dynamic", "factor": 2.0}, 8192),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}, 8192),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 256}, 4096),
        ({"full_attention": {"rope_type": "linear", "factor": 2.0}}, 8192),
        ({"rope_type": "linear", "factor": "many"}, 4096),
        ({"rope_type": "linear", "factor": 1e300}, 4096),
    ],
)
def test_scaling_of_positions_counts(scaling: Any, positions: int) -> None:
    config = LlamaConfig(max_position_embeddings=4096)
    config.rope_parameters = scaling
    assert longest_sequence(config) == positions


def test_the_text_part_of_a_configuration_decides() -> None:
    text = LlamaConfig(max_position_embeddings=77, hidden_size=16, num_attention_heads=2)
    assert longest_sequence(LlavaConfig(text_config=text)) == 77


@pytest.mark.parametrize("known", [0, -1])
def test_a_length_that_is_none_is_not_known(known: Any) -> None:
    config = LlamaConfig()
    config.max_position_embeddings = known
    assert longest_sequence(config) is None


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "xpu", "mps"])
def test_a_device_that_is_not_here_is_refused_before_anything_is_loaded(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.xpu, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(CheckpointError, match=r"a device that is here \(cpu\), got"):
        load_checkpoint(resolve_checkpoint("planted/mini", device=device))


def test_a_device_that_is_here_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cpu", "cuda", "cuda:1"):
        require_device(device)
    with pytest.raises(CheckpointError, match="cuda:0, cuda:1"):
        require_device("cuda:2")

"""The parts of a model are found by what it has."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from mmflow_bench.checkpoints.parts import parts_of
from mmflow_bench.errors import CheckpointError


@pytest.mark.parametrize(
    ("kind", "has_image", "name"),
    [
        ("llama", True, "llava/llama"),
        ("qwen2", True, "llava/qwen2"),
        ("gemma3", False, "gemma3_text"),
        ("llama", False, "llama"),
    ],
)
def test_names_a_family_after_its_model_types(tiny_checkpoint, kind, has_image, name):
    parts = tiny_checkpoint(kind, has_image=has_image).parts
    assert parts.name == name
    assert parts.has_image is has_image
    assert parts.image_token_id == (98 if has_image else None)
    assert len(parts.decoder_layers) == 10


@pytest.mark.parametrize("has_image", [True, False])
def test_caps_logits_only_where_the_model_does(tiny_checkpoint, tiny_sample, has_image):
    """The same text configuration with a cap: Gemma 2 applies it, LLaVA around it does not."""
    checkpoint = tiny_checkpoint("gemma2", has_image=has_image)
    sample = tiny_sample(1, has_image=has_image)
    with torch.no_grad():
        output = checkpoint.model(**sample.inputs, output_hidden_states=True)
        unembedded = checkpoint.parts.unembedding(output.hidden_states[-1])
    torch.testing.assert_close(unembedded, output.logits)
    assert bool(unembedded.abs().max() > 1.0) is has_image


def test_refuses_a_model_without_a_decoder_and_says_what_is_missing():
    config = CLIPTextConfig(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    with pytest.raises(CheckpointError, match=r"got CLIPTextModel without decoder layers"):
        parts_of(CLIPTextModel(config))

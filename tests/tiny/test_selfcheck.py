"""The proof that is run on every checkpoint passes where it should, and fails where it must."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from mmflow_bench.errors import CheckpointError, KnockoutError
from mmflow_bench.interventions.selfcheck import prove_exact

KINDS = ("llama", "llama-grouped", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")


@pytest.mark.parametrize("kind", KINDS)
def test_accepts_every_supported_family(tiny_checkpoint, kind):
    prove_exact(tiny_checkpoint(kind))


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3"])
def test_accepts_a_model_without_a_vision_tower(tiny_checkpoint, kind):
    prove_exact(tiny_checkpoint(kind, has_image=False, attention="eager"))


@pytest.mark.parametrize("kind", ["llama-grouped", "gemma2", "gemma3"])
def test_accepts_half_precision(tiny_checkpoint, kind):
    checkpoint = tiny_checkpoint(kind)
    model = copy.deepcopy(checkpoint.model).to(torch.bfloat16)
    prove_exact(_again(checkpoint, model))


def _again(checkpoint, model):
    from mmflow_bench.checkpoints.parts import parts_of

    return replace(checkpoint, model=model, parts=parts_of(model))


def test_accepts_a_model_that_reads_nothing_from_words_alone(tiny_checkpoint):
    """A planted checkpoint only reads image features, which words do not have."""
    checkpoint = tiny_checkpoint("llama")
    model = copy.deepcopy(checkpoint.model)
    width = model.get_input_embeddings().weight.shape[1]
    with torch.no_grad():
        model.get_input_embeddings().weight[:, width // 2 :] = 0
        for layer in model.get_decoder().layers:
            layer.self_attn.v_proj.weight[:, : width // 2] = 0
            layer.mlp.down_proj.weight.zero_()
            layer.self_attn.o_proj.weight[width // 2 :] = 0
    prove_exact(_again(checkpoint, model))


def test_refuses_a_model_whose_attention_does_nothing(tiny_checkpoint):
    checkpoint = tiny_checkpoint("llama")
    model = copy.deepcopy(checkpoint.model)
    with torch.no_grad():
        for layer in model.get_decoder().layers:
            layer.self_attn.o_proj.weight.zero_()
    with pytest.raises(CheckpointError, match=r"got no change \(family llava/llama\)"):
        prove_exact(_again(checkpoint, model))


def test_refuses_an_unembedding_that_is_not_the_models(tiny_checkpoint):
    checkpoint = tiny_checkpoint("llama")
    parts = replace(checkpoint.parts, unembedding=lambda hidden: hidden @ torch.ones(32, 99))
    with pytest.raises(CheckpointError, match="the unembedding of the last residual stream"):
        prove_exact(replace(checkpoint, parts=parts))


def test_refuses_attention_sinks_by_name(tiny_checkpoint):
    checkpoint = tiny_checkpoint("llama")
    model = copy.deepcopy(checkpoint.model)
    for layer in model.get_decoder().layers:
        layer.self_attn.register_forward_pre_hook(
            lambda _, args, keywords: (args, keywords | {"s_aux": torch.zeros(4)}),
            with_kwargs=True,
        )
    with pytest.raises(KnockoutError, match="got the argument 's_aux'"):
        prove_exact(_again(checkpoint, model))


def test_refuses_a_layer_that_does_not_attend(tiny_checkpoint):
    checkpoint = tiny_checkpoint("llama")
    model = copy.deepcopy(checkpoint.model)

    class Silent(torch.nn.Module):
        def forward(self, hidden_states, **_):
            return hidden_states, None

    model.get_decoder().layers[4].self_attn = Silent()
    with pytest.raises(KnockoutError, match="attend exactly once each"):
        prove_exact(_again(checkpoint, model))


def test_names_the_family_when_a_layer_needs_something_else(tiny_checkpoint):
    checkpoint = tiny_checkpoint("llama")
    model = copy.deepcopy(checkpoint.model)

    class Demanding(torch.nn.Module):
        def forward(self, hidden_states, *, per_layer_input, **_):
            return hidden_states + per_layer_input

    model.get_decoder().layers[4] = Demanding()
    with pytest.raises(CheckpointError, match=r"per_layer_input.*\(family llava/llama\)"):
        prove_exact(_again(checkpoint, model))

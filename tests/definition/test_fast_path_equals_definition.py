"""The fast path gives the numbers of the definition: one full forward pass per knockout."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method, layer_window
from mmflow_bench.interventions.suffixes import knockout_logits

LAYERS = 10
WINDOWS = ((1, 0), (1, 6), (3, 4), (3, 9), (9, 0), (9, 5))
"""Widths and centres, the ends of the decoder among them."""

UNDER_LLAVA = ("llama", "llama-grouped", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")


def _knockouts(edges):
    return [
        Knockout(sources=sources, targets=targets, layers=layer_window(center, width, LAYERS))
        for sources, targets in edges.values()
        for width, center in WINDOWS
    ]


def _assert_equal(fast, slow):
    torch.testing.assert_close(fast.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)


def _compare(checkpoint, sample, donor, knockouts, method):
    is_counterfactual = method is Method.COUNTERFACTUAL
    clean, other = clean_passes(checkpoint, [sample.inputs, donor.inputs])
    fast = knockout_logits(
        checkpoint,
        clean,
        knockouts,
        method=method,
        counterfactual=other if is_counterfactual else None,
    )
    for knockout, logits in zip(knockouts, fast, strict=True):
        slow = definition_logits(
            checkpoint,
            sample.inputs,
            knockout,
            method=method,
            counterfactual=donor.inputs if is_counterfactual else None,
        )
        _assert_equal(logits, slow)
    base = clean.logits.softmax(-1)
    return (fast.softmax(-1) - base).abs().amax(-1) / base.max()


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("kind", UNDER_LLAVA)
def test_every_paper_edge_under_llava(tiny_checkpoint, tiny_sample, kind, method):
    sample, donor = tiny_sample(1), tiny_sample(2, text_seed=1)
    moved = _compare(tiny_checkpoint(kind), sample, donor, _knockouts(sample.edges()), method)
    assert moved.max() > 0.01, "a comparison of knockouts that do nothing proves nothing"


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3"])
def test_every_paper_edge_without_a_vision_tower(tiny_checkpoint, tiny_sample, kind, method):
    sample = tiny_sample(1, has_image=False)
    donor = tiny_sample(2, text_seed=1, has_image=False)
    checkpoint = tiny_checkpoint(kind, has_image=False)
    moved = _compare(checkpoint, sample, donor, _knockouts(sample.edges()), method)
    assert moved.max() > 0.01


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma3"])
def test_arbitrary_sets_of_positions(tiny_checkpoint, tiny_sample, kind, method):
    sample, donor = tiny_sample(1), tiny_sample(2, text_seed=1)
    edges = {
        "scattered": ((0, 4, 20, 22), (21, 5, 26)),
        "within the image": (sample.image[2:7], sample.image[5:]),
        "prompt to everything after it": ((0, 1, 2), tuple(range(3, 28))),
        "from the question's start to its end": (sample.question[:2], sample.question[2:]),
        "from itself": (sample.question, sample.question[1:]),
        "from one to several roles": (sample.image, sample.question + sample.last),
        "from several roles to one": (sample.image + sample.question[1:3], sample.last),
    }
    _compare(tiny_checkpoint(kind), sample, donor, _knockouts(edges), method)


@pytest.mark.parametrize("kind", ["llama-grouped", "gemma3"])
def test_a_checkpoint_loaded_with_fused_attention(tiny_checkpoint, tiny_sample, kind):
    sample, donor = tiny_sample(1), tiny_sample(2, text_seed=1)
    checkpoint = tiny_checkpoint(kind, attention="sdpa")
    for method in Method:
        _compare(checkpoint, sample, donor, _knockouts(sample.edges())[::3], method)
    assert checkpoint.parts.text_config._attn_implementation == "sdpa"


@pytest.mark.parametrize("method", [Method.MASKED, Method.UNNORMALISED])
def test_rows_in_chunks_and_blocks(tiny_checkpoint, tiny_sample, monkeypatch, method):
    sample = tiny_sample(1)
    checkpoint = tiny_checkpoint("llama-grouped")
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    knockouts = _knockouts(sample.edges())
    whole = knockout_logits(checkpoint, clean, knockouts, method=method)
    for most in ("_SCORES_AT_ONCE_CPU", "_MASKED_AT_ONCE"):
        monkeypatch.setattr(f"mmflow_bench.interventions.attending.{most}", 2000)
    chunked = knockout_logits(checkpoint, clean, knockouts, method=method, max_rows=4)
    _assert_equal(chunked, whole)


def test_a_counterfactual_sample_of_another_length(tiny_checkpoint, tiny_sample):
    sample, donor = tiny_sample(1, question=5), tiny_sample(2, question=7)
    _compare(
        tiny_checkpoint("llama"),
        sample,
        donor,
        _knockouts({"image->question": (sample.image, sample.question)}),
        Method.COUNTERFACTUAL,
    )


def test_masking_one_key_redistributes_its_weight_by_hand(tiny_checkpoint, tiny_sample):
    """Masked knockout of every key but one leaves that key all the weight."""
    sample = tiny_sample(1, has_image=False)
    checkpoint = tiny_checkpoint("llama", has_image=False)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    last = clean.length - 1
    sources = tuple(range(last))
    values = []
    attention = checkpoint.parts.decoder_layers[-1].self_attn
    hook = attention.o_proj.register_forward_pre_hook(lambda _, args: values.append(args[0]))
    try:
        knockout_logits(
            checkpoint,
            clean,
            [Knockout(sources=sources, targets=(last,), layers=range(9, 10))],
        )
    finally:
        hook.remove()
    torch.testing.assert_close(values[0][1, -1], clean.values[-1][:, -1].flatten())

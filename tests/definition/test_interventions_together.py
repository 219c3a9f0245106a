"""Heads, skipped modules and several interventions at once give the numbers of the definition."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits, definition_states
from mmflow_bench.interventions.knockout import Knockout, Method, Module, Skip, Together
from mmflow_bench.interventions.suffixes import knockout_logits, knockout_readings

UNDER_LLAVA = ("llama", "llama-grouped", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
LAYERS = 10


def interventions(sample):
    image, question, last = sample.image, sample.question, sample.last
    by_head = Knockout(sources=image, targets=question, layers=range(2, 6), heads=(1, 2))
    other = Knockout(sources=image, targets=question, layers=range(2, 6), heads=(0,))
    read = Knockout(sources=question, targets=last, layers=range(5, 9))
    skips = [
        Skip(module=module, positions=question, layers=layers)
        for module in Module
        for layers in (range(3), range(4, 8), range(9, LAYERS))
    ]
    return [
        by_head,
        *skips,
        Together(parts=(by_head, other)),
        Together(parts=(by_head, read, skips[1])),
        Together(parts=(Knockout(sources=image, targets=last, layers=range(LAYERS)), read)),
        Knockout(sources=image, targets=image, layers=range(1, 4), spares_self=True),
        Together(
            parts=tuple(
                Knockout(
                    sources=image,
                    targets=question,
                    layers=range(i, i + 1),
                    heads=(i % 3, i % 2 + 2),
                )
                for i in range(LAYERS)
            )
        ),
    ]


def assert_close(fast, slow):
    torch.testing.assert_close(fast.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", [Method.MASKED, Method.UNNORMALISED])
@pytest.mark.parametrize("kind", UNDER_LLAVA)
def test_every_kind_of_intervention(tiny_checkpoint, tiny_sample, kind, method):
    checkpoint, sample = tiny_checkpoint(kind), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    asked = interventions(sample)
    fast = knockout_logits(checkpoint, clean, asked, method=method)
    for each, logits in zip(asked, fast, strict=True):
        assert_close(logits, definition_logits(checkpoint, sample.inputs, each, method=method))
        assert not torch.equal(logits, clean.logits)


@torch.inference_mode()
@pytest.mark.parametrize("kind", UNDER_LLAVA)
def test_states_of_other_positions(tiny_checkpoint, tiny_sample, kind):
    checkpoint, sample = tiny_checkpoint(kind), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    nothing = Knockout(sources=(), targets=(), layers=range(LAYERS))
    late = Knockout(sources=sample.question, targets=sample.last, layers=range(LAYERS))
    asked = [*interventions(sample), nothing, late]
    fast = knockout_readings(
        checkpoint, clean, asked, positions=sample.question, read=lambda states: states
    )
    for each, states in zip(asked, fast, strict=True):
        slow = definition_states(checkpoint, sample.inputs, each, positions=sample.question)
        unembedded = (checkpoint.parts.unembedding(one) for one in (states, slow))
        assert_close(*unembedded)
    # The question comes before the last position, and does not see what becomes of it.
    torch.testing.assert_close(fast[-1], fast[-2])


def test_in_chunks_as_at_once(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama-grouped"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    asked = interventions(sample)
    whole = knockout_logits(checkpoint, clean, asked)
    assert_close(knockout_logits(checkpoint, clean, asked, max_rows=2), whole)


def test_all_heads_one_by_one_are_every_head(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama-grouped"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    edges = {"sources": sample.image, "targets": sample.question, "layers": range(3)}
    heads = range(checkpoint.parts.text_config.num_attention_heads)
    parts = tuple(Knockout(**edges, heads=(head,)) for head in heads)
    one, other = knockout_logits(checkpoint, clean, [Knockout(**edges), Together(parts=parts)])
    assert_close(other, one)


def test_nothing_is_the_clean_pass(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    nothing = [
        Together(parts=()),
        Skip(module=Module.MLP, positions=(), layers=range(LAYERS)),
        Knockout(sources=sample.image, targets=sample.last, layers=range(3), heads=()),
    ]
    for logits in knockout_logits(checkpoint, clean, nothing):
        assert torch.equal(logits, clean.logits)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            (
                Knockout(sources=tuple(range(6)), targets=(5,), layers=range(2, 4)),
                Knockout(sources=(6,), targets=(5,), layers=range(3)),
            ),
            "at least one key left",
        ),
        ((Knockout(sources=(0,), targets=(5,), layers=range(2), heads=(99,)),), "attention heads"),
        ((Skip(module=Module.MLP, positions=(999,), layers=range(2)),), "skipped positions"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_checkpoint, tiny_sample, parts, message):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    with pytest.raises(KnockoutError, match=message):
        knockout_logits(checkpoint, clean, [Together(parts=parts)])


def test_two_cuts_blind_a_query_together(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    halves = [
        Knockout(sources=sources, targets=(5,), layers=range(2, 4))
        for sources in ((0, 1, 2), (3, 4, 5))
    ]
    with pytest.raises(KnockoutError, match="at least one key left"):
        knockout_logits(checkpoint, clean, [Together(parts=tuple(halves))])
    in_other_heads = Knockout(sources=(3, 4, 5), targets=(5,), layers=range(2, 4), heads=(1,))
    first = Knockout(sources=(0, 1, 2), targets=(5,), layers=range(2, 4), heads=(0,))
    assert (
        knockout_logits(checkpoint, clean, [Together(parts=(first, in_other_heads))])
        .isfinite()
        .all()
    )


def test_the_counterfactual_method_takes_one_knockout(tiny_checkpoint, tiny_sample):
    checkpoint, sample, donor = tiny_checkpoint("llama"), tiny_sample(1), tiny_sample(2)
    clean, other = clean_passes(checkpoint, [sample.inputs, donor.inputs])
    for each in interventions(sample):
        with pytest.raises(KnockoutError, match=r"one knockout in every head|every edge between"):
            knockout_logits(
                checkpoint, clean, [each], method=Method.COUNTERFACTUAL, counterfactual=other
            )

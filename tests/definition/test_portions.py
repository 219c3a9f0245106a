"""Layers that take a few rows at a time compute what they compute of all at once, and hold less."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from mmflow_bench.interventions import fused
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.continuing import SuffixStates
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method, Module, Skip, Together
from mmflow_bench.interventions.suffix_pass import SuffixPass
from mmflow_bench.interventions.suffixes import knockout_logits, knockout_readings

LAYERS = 10


@pytest.fixture
def little_memory(monkeypatch):
    """Of no decoder the rows of several sequences fit in."""
    monkeypatch.setattr("mmflow_bench.interventions.portions._LITTLE", 0)


def knockouts(sample):
    edges = ((sample.image, sample.question), (sample.question, sample.last))
    return [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 3))
        for sources, targets in edges
        for first in range(0, LAYERS - 2)
    ]


def assert_equal(one, other):
    torch.testing.assert_close(one.softmax(-1), other.softmax(-1), rtol=1e-5, atol=1e-9)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("kind", ["llama-grouped", "gemma2", "gemma3"])
def test_portions_give_the_numbers_of_the_definition(tiny_checkpoint, tiny_sample, kind, method):
    checkpoint = tiny_checkpoint(kind)
    sample, donor = tiny_sample(1), tiny_sample(2, text_seed=1)
    clean, other = clean_passes(checkpoint, [sample.inputs, donor.inputs])
    is_other = method is Method.COUNTERFACTUAL
    asked = knockouts(sample)
    fast = knockout_logits(
        checkpoint, clean, asked, method=method, counterfactual=other if is_other else None
    )
    for knockout, logits in list(zip(asked, fast, strict=True))[::3]:
        slow = definition_logits(
            checkpoint,
            sample.inputs,
            knockout,
            method=method,
            counterfactual=donor.inputs if is_other else None,
        )
        assert_equal(logits, slow)


@pytest.mark.usefixtures("little_memory")
def test_modules_are_skipped_in_the_rows_that_are_meant(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    skips = [
        Skip(module=module, positions=sample.question, layers=range(first, LAYERS))
        for module in Module
        for first in (0, 4, LAYERS - 1)
    ]
    asked = [*skips, Together(parts=(knockouts(sample)[3], skips[1]))]
    for intervention, logits in zip(asked, knockout_logits(checkpoint, clean, asked), strict=True):
        assert_equal(logits, definition_logits(checkpoint, sample.inputs, intervention))


@contextmanager
def _counted(checkpoint, module):
    """Of every layer, at how many positions at once one of its modules works, call by call."""
    seen = {layer: [] for layer in range(LAYERS)}
    modules = [block.get_submodule(module) for block in checkpoint.parts.decoder_layers]
    for layer, one in enumerate(modules):

        def forward(hidden, layer=layer, before=one.forward):
            seen[layer].append(hidden.shape[:-1].numel())
            return before(hidden)

        one.forward = forward
    try:
        yield seen
    finally:
        for one in modules:
            del one.forward


SPARED = ("mlp.down_proj", "self_attn.q_proj", "self_attn.o_proj")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("module", SPARED)
def test_a_layer_works_on_no_more_than_a_sequence_and_the_last_on_what_is_read(
    tiny_checkpoint, tiny_sample, module
):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    asked = knockouts(sample)
    with _counted(checkpoint, module) as seen:
        knockout_logits(checkpoint, clean, asked)
    assert all(at_once <= clean.length for layer in seen.values() for at_once in layer)
    assert max(len(layer) for layer in seen.values()) > 2
    # A position of each knockout, and of the clean row of both passes.
    assert sum(seen[LAYERS - 1]) == len(asked) + 2
    modules = checkpoint.model.modules()
    assert all("forward" not in vars(one) for one in modules)


@pytest.mark.parametrize("module", SPARED)
def test_a_clean_pass_computes_of_the_last_layer_what_is_read(tiny_checkpoint, tiny_sample, module):
    checkpoint, samples = tiny_checkpoint("llama"), [tiny_sample(1), tiny_sample(2)]
    with _counted(checkpoint, module) as seen:
        several = clean_passes(checkpoint, [sample.inputs for sample in samples])
    whole = sum(clean.length for clean in several)
    assert all(sum(seen[layer]) >= whole for layer in range(LAYERS - 1))
    assert sum(seen[LAYERS - 1]) == len(samples)


def test_queries_that_nobody_asks_read_nothing_of_the_prefix(
    tiny_checkpoint, tiny_sample, monkeypatch
):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    seen = {layer: 0 for layer in range(LAYERS)}

    def counting(query, prefix, parts, scaling):
        layer = next(
            i for i, keys in enumerate(clean.keys) if keys.data_ptr() == prefix[0].data_ptr()
        )
        seen[layer] += sum(
            query.shape[2] if part.places is None else len(part.places) for part in parts
        )
        return of_prefix(query, prefix, parts, scaling)

    of_prefix = fused._of_prefix
    monkeypatch.setattr(fused, "_of_prefix", counting)
    sources, targets = sample.image, sample.question
    asked = [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 3))
        for first in range(0, LAYERS - 4)
    ]
    knockout_logits(checkpoint, clean, asked)
    whole = clean.length - min(targets)
    for layer in range(LAYERS - 4):
        assert seen[layer] == (1 + layer) * whole + len(targets)
    assert seen[LAYERS - 1] == 1 + len(asked)


@pytest.mark.parametrize("portion", [0, 2**25])
def test_where_a_row_is_still_the_clean_one_nothing_is_computed_again(
    tiny_checkpoint, tiny_sample, monkeypatch, portion
):
    monkeypatch.setattr("mmflow_bench.interventions.portions._LITTLE", portion)
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    sources, targets = sample.image, sample.question
    asked = [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 3))
        for first in range(0, LAYERS - 4)
    ]
    with _counted(checkpoint, "mlp.down_proj") as seen:
        fast = knockout_logits(checkpoint, clean, asked)
    whole = clean.length - min(targets)
    assert len(targets) < whole
    for layer in range(LAYERS - 4):
        assert sum(seen[layer]) == (1 + layer) * whole + len(targets)
    assert sum(seen[LAYERS - 2]) == (1 + len(asked)) * whole
    for knockout, logits in zip(asked, fast, strict=True):
        assert_equal(logits, definition_logits(checkpoint, sample.inputs, knockout))


@pytest.mark.usefixtures("little_memory")
def test_states_that_are_read_are_right_in_the_last_layer(
    tiny_checkpoint, tiny_sample, monkeypatch
):
    checkpoint, sample = tiny_checkpoint("qwen2"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    positions = [sample.question[1], sample.question[-1]]
    asked = {"positions": positions, "read": lambda states: states}
    sparing = knockout_readings(checkpoint, clean, knockouts(sample), **asked)
    monkeypatch.setattr(SuffixPass, "_asked", lambda *_: {})
    full = knockout_readings(checkpoint, clean, knockouts(sample)[:8], **asked)
    torch.testing.assert_close(sparing[:8], full, rtol=1e-5, atol=1e-6)


def test_every_row_tells_its_keys_and_values(tiny_checkpoint, tiny_sample, monkeypatch):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    asked = knockouts(sample)[:8]
    whole, portions = SuffixStates(), SuffixStates()
    knockout_logits(checkpoint, clean, asked, see=whole.see)
    monkeypatch.setattr("mmflow_bench.interventions.portions._LITTLE", 0)
    knockout_logits(checkpoint, clean, asked, see=portions.see)
    for layer in range(LAYERS):
        for one, other in zip(whole.at(layer, asked), portions.at(layer, asked), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_what_a_clean_pass_keeps_lies_together(tiny_checkpoint, tiny_sample):
    clean = clean_passes(tiny_checkpoint("llama"), [tiny_sample(1).inputs])[0]
    states = (*clean.keys, *clean.values)
    assert len({state.untyped_storage().data_ptr() for state in states}) == 1
    assert len({state.data_ptr() for state in states}) == len(states)

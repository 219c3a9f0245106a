"""What is kept of an undisturbed pass, alone and several samples together."""

from __future__ import annotations

import inspect

import pytest
import torch

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.suffixes import knockout_logits

KINDS = ("llama", "llama-grouped", "mistral", "qwen2", "gemma2", "gemma3")


@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_residuals_are_those_of_transformers(tiny_checkpoint, tiny_sample, kind):
    checkpoint, sample = tiny_checkpoint(kind), tiny_sample(1)
    with torch.no_grad():
        expected = checkpoint.model(**sample.inputs, output_hidden_states=True)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    states = torch.stack([state[0, -1] for state in expected.hidden_states])
    torch.testing.assert_close(clean.logits, expected.logits[0, -1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(clean.residuals, states, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        checkpoint.parts.final_norm(clean.final_residual), clean.residuals[-1]
    )


def test_a_decoder_whose_method_was_replaced_is_recorded_as_before(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    (expected,) = clean_passes(checkpoint, [sample.inputs])
    decoder = checkpoint.parts.decoder
    own = decoder.forward

    def forward(*arguments, **named):
        return own(*arguments, **named)

    # As tracing tools leave it: the decoder itself stands in the signature.
    forward.__signature__ = inspect.signature(type(decoder).forward)
    decoder.forward = forward
    try:
        (clean,) = clean_passes(checkpoint, [sample.inputs])
    finally:
        del decoder.forward
    assert torch.equal(clean.positions, expected.positions)
    assert torch.equal(clean.logits, expected.logits)


@pytest.mark.parametrize("kind", KINDS)
def test_four_samples_at_once_equal_one_by_one(tiny_checkpoint, tiny_sample, kind):
    checkpoint = tiny_checkpoint(kind)
    samples = [tiny_sample(seed, question=4 + seed) for seed in range(4)]
    together = clean_passes(checkpoint, [sample.inputs for sample in samples])
    for sample, batched in zip(samples, together, strict=True):
        alone = clean_passes(checkpoint, [sample.inputs])[0]
        assert batched.length == alone.length
        torch.testing.assert_close(
            batched.logits.softmax(-1), alone.logits.softmax(-1), rtol=1e-5, atol=1e-9
        )
        knockouts = [
            Knockout(sources=sources, targets=targets, layers=range(2, 7))
            for sources, targets in sample.edges().values()
        ]
        torch.testing.assert_close(
            knockout_logits(checkpoint, batched, knockouts).softmax(-1),
            knockout_logits(checkpoint, alone, knockouts).softmax(-1),
            rtol=1e-5,
            atol=1e-9,
        )


def test_keeps_every_key_also_beyond_a_sliding_window(tiny_checkpoint, tiny_sample):
    sample = tiny_sample(1)
    clean = clean_passes(tiny_checkpoint("mistral"), [sample.inputs])[0]
    assert {key.shape[1] for key in clean.keys} == {clean.length}
    assert int(clean.visible[0][-1].sum()) == 9


def test_refuses_inputs_with_padding_of_their_own(tiny_checkpoint, tiny_sample):
    inputs = dict(tiny_sample(1, has_image=False).inputs)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    inputs["attention_mask"][0, 0] = 0
    with pytest.raises(KnockoutError, match="samples without padding, got an `attention_mask`"):
        clean_passes(tiny_checkpoint("llama", has_image=False), [inputs])


def test_an_attention_mask_of_ones_is_the_same_as_none(tiny_checkpoint, tiny_sample):
    inputs = dict(tiny_sample(1, has_image=False).inputs)
    checkpoint = tiny_checkpoint("llama", has_image=False)
    plain = clean_passes(checkpoint, [inputs])[0]
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    assert torch.equal(clean_passes(checkpoint, [inputs])[0].logits, plain.logits)

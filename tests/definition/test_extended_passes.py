"""A clean pass that goes on with further tokens is the clean pass of the longer sequence."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.extending import extended
from mmflow_bench.interventions.knockout import Knockout, Method, layer_window
from mmflow_bench.interventions.suffixes import knockout_logits

# Of names of arguments that transformers no longer uses.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

LAYERS = 10
UNDER_LLAVA = ("llama", "llama-grouped", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
ANSWER = (17, 5, 60)


def _longer(inputs, tokens=ANSWER):
    further = torch.tensor([list(tokens)])
    return inputs | {"input_ids": torch.cat([inputs["input_ids"], further], dim=1)}


@pytest.mark.parametrize("tokens", [ANSWER[:1], ANSWER])
@pytest.mark.parametrize("kind", UNDER_LLAVA)
def test_an_extended_pass_is_that_of_the_longer_sequence(
    tiny_checkpoint, tiny_sample, kind, tokens
):
    checkpoint, sample = tiny_checkpoint(kind), tiny_sample(1)
    got = extended(checkpoint, clean_passes(checkpoint, [sample.inputs])[0], tokens)
    (expected,) = clean_passes(checkpoint, [_longer(sample.inputs, tokens)])
    assert got.length == expected.length
    assert torch.equal(got.positions, expected.positions)
    for name in ("logits", "residuals", "final_residual", "embeddings"):
        torch.testing.assert_close(
            getattr(got, name), getattr(expected, name), rtol=1e-4, atol=1e-5
        )
    for one, other in zip(got.visible, expected.visible, strict=True):
        assert torch.equal(one, other)
    for name in ("keys", "values"):
        pairs = zip(getattr(got, name), getattr(expected, name), strict=True)
        for one, other in pairs:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len({id(one) for one in got.visible}) == len({id(one) for one in expected.visible})


@pytest.mark.parametrize("method", [Method.MASKED, Method.UNNORMALISED])
@pytest.mark.parametrize("kind", UNDER_LLAVA)
def test_knockouts_at_the_last_piece_are_as_by_definition(
    tiny_checkpoint, tiny_sample, kind, method
):
    checkpoint, sample = tiny_checkpoint(kind), tiny_sample(1)
    clean = extended(checkpoint, clean_passes(checkpoint, [sample.inputs])[0], ANSWER)
    current = tuple(range(sample.last[0], clean.length))
    edges = [
        (sample.question, current),
        (sample.image, current),
        (sample.last, current),
        (sample.image, sample.question),
    ]
    knockouts = [
        Knockout(sources=sources, targets=targets, layers=layer_window(center, 3, LAYERS))
        for sources, targets in edges
        for center in (0, 4, 9)
    ]
    fast = knockout_logits(checkpoint, clean, knockouts, method=method)
    for knockout, logits in zip(knockouts, fast, strict=True):
        slow = definition_logits(checkpoint, _longer(sample.inputs), knockout, method=method)
        torch.testing.assert_close(logits.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)
    assert (fast - clean.logits).abs().max() > 0.01


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3"])
def test_an_extended_pass_without_a_vision_tower(tiny_checkpoint, tiny_sample, kind):
    checkpoint = tiny_checkpoint(kind, has_image=False)
    inputs = tiny_sample(1, has_image=False).inputs
    got = extended(checkpoint, clean_passes(checkpoint, [inputs])[0], ANSWER)
    (expected,) = clean_passes(checkpoint, [_longer(inputs)])
    torch.testing.assert_close(got.logits, expected.logits, rtol=1e-4, atol=1e-5)
    assert all(map(torch.equal, got.visible, expected.visible))


def test_a_pass_that_does_not_go_on_is_refused(tiny_checkpoint, tiny_sample):
    checkpoint = tiny_checkpoint("llama")
    clean = clean_passes(checkpoint, [tiny_sample(1).inputs])[0]
    with pytest.raises(KnockoutError, match="tokens to go on with, got none"):
        extended(checkpoint, clean, ())

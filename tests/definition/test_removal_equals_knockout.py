"""Positions that are removed, positions that are cut off, and answers that go on from either."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.continuing import Continuation, SuffixStates
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.removal import PrunedAnswer, Removal
from mmflow_bench.interventions.suffixes import knockout_logits

# Of names of arguments that transformers no longer uses.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

LAYERS = 10
FIRST = (1, 4, 9)
UNDER_LLAVA = ("llama", "llama-grouped", "mistral", "qwen2", "qwen3", "gemma2", "gemma3")
ANSWER = (17, 40, 23, 56, 71, 33)
"""Any tokens: as many as take the sliding windows of the tiny checkpoints along."""


def _assert_equal(got, expected):
    torch.testing.assert_close(got.softmax(-1), expected.softmax(-1), rtol=1e-5, atol=1e-9)


def _continued(checkpoint, clean, knockouts, max_positions=2**15):
    """Logits after the prompt and after every token of the answer, by knockout."""
    states = SuffixStates()
    first = knockout_logits(
        checkpoint, clean, knockouts, see=states.see, max_positions=max_positions
    )
    going = Continuation(checkpoint, clean, knockouts, states)
    later = [going.logits([token] * len(knockouts)) for token in ANSWER]
    return torch.stack([first, *later], dim=1)


def _pruned(checkpoint, inputs, removals):
    answer = PrunedAnswer(checkpoint, inputs, removals)
    return torch.stack([answer.prompt_logits, *(answer.logits(token) for token in ANSWER)])


@pytest.mark.parametrize(
    ("kind", "attention"),
    # Gemma 2 squeezes its scores, which fused attention does not.
    [*((kind, "eager") for kind in UNDER_LLAVA), ("llama-grouped", "sdpa"), ("gemma3", "sdpa")],
)
def test_a_removed_image_is_an_image_that_nobody_sees(
    tiny_checkpoint, tiny_sample, kind, attention
):
    checkpoint, sample = tiny_checkpoint(kind, attention=attention), tiny_sample(1)
    (clean,) = clean_passes(checkpoint, [sample.inputs])
    removals = [Removal(positions=sample.image, layer=layer) for layer in FIRST]
    knockouts = [removal.knockout(clean) for removal in removals]
    fast = _continued(checkpoint, clean, knockouts)
    _assert_equal(_continued(checkpoint, clean, knockouts, max_positions=1), fast)
    for removal, knockout, logits in zip(removals, knockouts, fast, strict=True):
        _assert_equal(logits, _pruned(checkpoint, sample.inputs, [removal]))
        _assert_equal(logits[0], definition_logits(checkpoint, sample.inputs, knockout))
    moved = (fast[:, 0].softmax(-1) - clean.logits.softmax(-1)).abs().amax(-1)
    assert moved.max() > 0.01, "a comparison of removals that do nothing proves nothing"


@pytest.mark.parametrize("kind", ["llama-grouped", "gemma3"])
def test_without_removals_an_answer_is_the_models_own(tiny_checkpoint, tiny_sample, kind):
    checkpoint, sample = tiny_checkpoint(kind, attention="sdpa"), tiny_sample(1)
    whole = torch.cat([sample.inputs["input_ids"], torch.tensor([ANSWER])], dim=1)
    with torch.no_grad():
        logits = checkpoint.model(**{**sample.inputs, "input_ids": whole}).logits[0]
    _assert_equal(_pruned(checkpoint, sample.inputs, ()), logits[-1 - len(ANSWER) :])


def test_what_is_removed_is_not_in_the_cache(tiny_checkpoint, tiny_sample):
    checkpoint, sample = tiny_checkpoint("llama"), tiny_sample(1)
    length = sample.inputs["input_ids"].shape[1]
    related, other = sample.image[5:9], (*sample.image[:5], *sample.image[9:])
    whole = PrunedAnswer(checkpoint, sample.inputs).cache_bytes
    removals = [Removal(positions=other, layer=4), Removal(positions=related, layer=7)]
    pruned = PrunedAnswer(checkpoint, sample.inputs, removals)
    kept = LAYERS * length - 6 * len(other) - 3 * len(related)
    assert pruned.cache_bytes * LAYERS * length == whole * kept
    pruned.logits(ANSWER[0])
    assert pruned.cache_bytes * LAYERS * length == whole * (kept + LAYERS)


def test_roles_that_leave_at_different_layers_are_two_knockouts(tiny_checkpoint, tiny_sample):
    """With all of the image gone from layer 4 on, it makes no difference when the rest leaves."""
    checkpoint, sample = tiny_checkpoint("qwen2"), tiny_sample(1)
    one = [Removal(positions=sample.image, layer=4), Removal(positions=sample.image[:3], layer=6)]
    other = [Removal(positions=sample.image, layer=4)]
    split = [Removal(positions=part, layer=4) for part in (sample.image[:3], sample.image[3:])]
    expected = _pruned(checkpoint, sample.inputs, other)
    _assert_equal(_pruned(checkpoint, sample.inputs, one), expected)
    _assert_equal(_pruned(checkpoint, sample.inputs, split), expected)


@pytest.mark.parametrize(
    ("removal", "message"),
    [
        (Removal(positions=(4,), layer=0), "a first layer without the positions from 1 to 10"),
        (Removal(positions=(4,), layer=11), "got 11"),
        (Removal(positions=(27,), layer=3), "the last one gives the answer"),
        (Removal(positions=(-1,), layer=3), "got -1"),
    ],
)
def test_a_removal_that_cannot_be_is_refused(tiny_checkpoint, tiny_sample, removal, message):
    with pytest.raises(KnockoutError, match=message):
        PrunedAnswer(tiny_checkpoint("llama"), tiny_sample(1).inputs, [removal])

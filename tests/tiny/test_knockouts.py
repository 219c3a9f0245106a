"""What a knockout must not do: nothing where nothing is cut, no blind query, no silent nonsense."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method, layer_window
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.interventions.traces import traces

EVERYWHERE = range(10)


@pytest.fixture
def checkpoint(tiny_checkpoint):
    return tiny_checkpoint("llama-grouped")


@pytest.fixture
def sample(tiny_sample):
    return tiny_sample(1)


@pytest.fixture
def clean(checkpoint, sample):
    return clean_passes(checkpoint, [sample.inputs])[0]


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma2", "gemma3"])
def test_an_empty_knockout_changes_nothing(tiny_checkpoint, sample, kind, method):
    checkpoint = tiny_checkpoint(kind)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    other = clean if method is Method.COUNTERFACTUAL else None
    nothing = Knockout(sources=(), targets=(), layers=EVERYWHERE)
    result = knockout_logits(checkpoint, clean, [nothing], method=method, counterfactual=other)
    assert torch.equal(result[0], clean.logits)


def test_no_knockouts_give_no_rows(checkpoint, clean):
    assert knockout_logits(checkpoint, clean, []).shape == (0, 99)


def test_a_knockout_without_sources_runs_and_shows_the_noise(checkpoint, clean, sample):
    nothing = Knockout(sources=(), targets=sample.last, layers=EVERYWHERE)
    noise = knockout_logits(checkpoint, clean, [nothing])[0].softmax(-1)
    torch.testing.assert_close(noise, clean.logits.softmax(-1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", list(Method))
def test_question_to_image_is_exactly_nothing(checkpoint, clean, sample, method):
    noop = Knockout(sources=sample.question, targets=sample.image, layers=EVERYWHERE)
    other = clean if method is Method.COUNTERFACTUAL else None
    result = knockout_logits(checkpoint, clean, [noop], method=method, counterfactual=other)
    assert torch.equal(result[0], clean.logits)


def test_cutting_what_a_sliding_window_hides_is_exactly_nothing(tiny_checkpoint, sample):
    checkpoint = tiny_checkpoint("mistral")
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    hidden = Knockout(sources=sample.image[:4], targets=sample.last, layers=EVERYWHERE)
    assert torch.equal(knockout_logits(checkpoint, clean, [hidden])[0], clean.logits)


def test_values_of_the_same_sample_change_nothing(checkpoint, clean, sample):
    knockout = Knockout(sources=sample.image, targets=sample.question, layers=range(3))
    result = knockout_logits(
        checkpoint, clean, [knockout], method=Method.COUNTERFACTUAL, counterfactual=clean
    )
    torch.testing.assert_close(
        result[0].softmax(-1), clean.logits.softmax(-1), rtol=1e-5, atol=1e-9
    )


def test_results_come_in_the_order_asked_for(checkpoint, clean, sample):
    knockouts = [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 3))
        for first in (6, 0, 3)
        for sources, targets in sample.edges().values()
    ]
    together = knockout_logits(checkpoint, clean, [*knockouts, knockouts[0]])
    for knockout, logits in zip(knockouts, together, strict=False):
        alone = knockout_logits(checkpoint, clean, [knockout])[0]
        torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-5)
    assert torch.equal(together[0], together[-1])


def test_refuses_to_blind_a_target(checkpoint, clean, sample):
    blinding = Knockout(sources=tuple(range(6)), targets=(5, 20), layers=range(1, 4))
    message = "got none for the targets 5 without the sources 0, 1"
    with pytest.raises(KnockoutError, match=message):
        knockout_logits(checkpoint, clean, [blinding])
    with pytest.raises(KnockoutError, match=message):
        definition_logits(checkpoint, sample.inputs, blinding)


def test_a_blinded_target_is_no_problem_after_the_softmax(checkpoint, clean, sample):
    knockout = Knockout(sources=tuple(range(6)), targets=(5, 20), layers=range(1, 4))
    method = Method.UNNORMALISED
    fast = knockout_logits(checkpoint, clean, [knockout], method=method)[0]
    slow = definition_logits(checkpoint, sample.inputs, knockout, method=method)
    torch.testing.assert_close(fast.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)


def test_refuses_to_blind_within_a_sliding_window(tiny_checkpoint, sample):
    checkpoint = tiny_checkpoint("mistral")
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    blinding = Knockout(sources=tuple(range(15, 28)), targets=sample.last, layers=range(1))
    with pytest.raises(KnockoutError, match="got none for the targets 27"):
        knockout_logits(checkpoint, clean, [blinding])


def test_refuses_a_counterfactual_that_ends_before_the_sources(checkpoint, clean, sample):
    short = clean_passes(checkpoint, [{"input_ids": sample.inputs["input_ids"][:, 20:]}])[0]
    knockout = Knockout(sources=sample.question, targets=sample.last, layers=EVERYWHERE)
    with pytest.raises(KnockoutError, match="8 positions for source 23"):
        knockout_logits(
            checkpoint, clean, [knockout], method=Method.COUNTERFACTUAL, counterfactual=short
        )


def test_refuses_the_counterfactual_method_without_a_counterfactual(checkpoint, clean, sample):
    knockout = Knockout(sources=sample.image, targets=sample.last, layers=EVERYWHERE)
    with pytest.raises(KnockoutError, match="got none"):
        knockout_logits(checkpoint, clean, [knockout], method=Method.COUNTERFACTUAL)
    with pytest.raises(KnockoutError, match="got one"):
        knockout_logits(checkpoint, clean, [knockout], counterfactual=clean)


def test_refuses_a_suffix_pass_that_is_not_the_clean_pass(checkpoint, clean, sample):
    """Positions that the model ignores or replaces would show in the row without knockout."""
    knockout = Knockout(sources=sample.image, targets=sample.question, layers=range(3))

    def shift(_, args, keywords):
        return args, keywords | {"position_ids": keywords["position_ids"] * 0}

    hook = checkpoint.parts.decoder.register_forward_pre_hook(shift, with_kwargs=True)
    try:
        with pytest.raises(KnockoutError, match="reproduces the clean pass"):
            knockout_logits(checkpoint, clean, [knockout])
    finally:
        hook.remove()


@pytest.mark.parametrize(("written", "most_rows"), [(0.0, 2), (1e-9, 2), (1e-3, 5), (1.0, 5)])
def test_a_knockout_has_a_row_only_where_it_differs(
    checkpoint, sample, monkeypatch, written, most_rows
):
    """Attention writes in layer 6 alone: windows that miss it are the clean row throughout."""
    rows: list[int] = []
    for number, layer in enumerate(checkpoint.parts.decoder_layers):
        parameters = layer.self_attn.o_proj._parameters
        scaled = torch.nn.Parameter(parameters["weight"] * (written if number == 6 else 0.0))
        monkeypatch.setitem(parameters, "weight", scaled)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    sweep = [
        Knockout(sources=sample.image, targets=sample.last, layers=layer_window(center, 3, 10))
        for center in EVERYWHERE
    ]
    hooks = [
        layer.register_forward_pre_hook(lambda _, arguments: rows.append(len(arguments[0])))
        for layer in checkpoint.parts.decoder_layers
    ]
    found = knockout_logits(checkpoint, clean, sweep)
    for hook in hooks:
        hook.remove()
    assert max(rows) == most_rows
    for knockout, logits in zip(sweep, found, strict=True):
        expected = definition_logits(checkpoint, sample.inputs, knockout)
        torch.testing.assert_close(logits.softmax(-1), expected.softmax(-1), rtol=1e-5, atol=1e-9)
    moved = (found != found[0]).any(-1)
    assert moved.tolist() == [written > 1e-6 and 5 <= center <= 7 for center in EVERYWHERE]


def test_a_row_that_is_not_a_number_is_no_clean_row():
    hidden = torch.ones(4, 2, 8)
    hidden[1, 1, 3] += 2e-7
    hidden[2, 0, 0] = torch.nan
    hidden[3] *= 1 + 1e-7
    assert traces(hidden) == [False, True, True, True]
    hidden[1:] = 1.0
    hidden[:, 0, 0] = torch.tensor([0.0, 5e-10, 5e-9, -5e-10])
    assert traces(hidden) == [False, False, True, False]

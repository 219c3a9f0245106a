"""Whatever happens inside, the model is afterwards as it was before."""

from __future__ import annotations

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.suffixes import knockout_logits


def _traces(checkpoint):
    """Everything that an intervention may touch."""
    modules = list(checkpoint.model.modules())
    hooks = [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in modules]
    implementations = [m.config._attn_implementation for m in modules if hasattr(m, "config")]
    registered = (set(AttentionInterface._global_mapping), set(AttentionMaskInterface()))
    return hooks, implementations, registered


@pytest.fixture(params=["eager", "sdpa"])
def checkpoint(request, tiny_checkpoint, tiny_sample):
    checkpoint = tiny_checkpoint("llama-grouped", attention=request.param)
    # Transformers installs its own output hooks on the first call.
    checkpoint.model(**tiny_sample(1).inputs)
    return checkpoint


def test_nothing_is_left_behind(checkpoint, tiny_sample):
    sample = tiny_sample(1)
    before = _traces(checkpoint)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    knockout = Knockout(sources=sample.image, targets=sample.question, layers=range(3))
    for method in Method:
        is_counterfactual = method is Method.COUNTERFACTUAL
        knockout_logits(
            checkpoint,
            clean,
            [knockout],
            method=method,
            counterfactual=clean if is_counterfactual else None,
        )
        definition_logits(
            checkpoint,
            sample.inputs,
            knockout,
            method=method,
            counterfactual=sample.inputs if is_counterfactual else None,
        )
    assert _traces(checkpoint) == before


class _Interrupted(Exception):
    pass


def _interrupting(checkpoint):
    def interrupt(*_):
        raise _Interrupted

    return checkpoint.parts.decoder_layers[5].mlp.register_forward_hook(interrupt)


def _run(path, checkpoint, inputs, clean, knockout):
    if path == "clean":
        clean_passes(checkpoint, [inputs])
    elif path == "fast":
        knockout_logits(checkpoint, clean, [knockout])
    else:
        method = Method(path)
        other = inputs if method is Method.COUNTERFACTUAL else None
        definition_logits(checkpoint, inputs, knockout, method=method, counterfactual=other)


@pytest.mark.parametrize("path", ["clean", "fast", "masked", "unnormalised", "counterfactual"])
def test_nothing_is_left_behind_after_an_exception(checkpoint, tiny_sample, path):
    sample = tiny_sample(1)
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    knockout = Knockout(sources=sample.image, targets=sample.question, layers=range(3))
    before = _traces(checkpoint)
    hook = _interrupting(checkpoint)
    with pytest.raises(_Interrupted):
        _run(path, checkpoint, sample.inputs, clean, knockout)
    hook.remove()
    assert _traces(checkpoint) == before


def test_the_model_answers_as_before(checkpoint, tiny_sample):
    sample = tiny_sample(1)
    before = checkpoint.model(**sample.inputs).logits
    clean = clean_passes(checkpoint, [sample.inputs])[0]
    knockout = Knockout(sources=sample.image, targets=sample.last, layers=range(10))
    knockout_logits(checkpoint, clean, [knockout])
    assert torch.equal(checkpoint.model(**sample.inputs).logits, before)


def test_interventions_nest(checkpoint, tiny_sample):
    sample = tiny_sample(1)
    decoder = checkpoint.parts.decoder
    expected = clean_passes(checkpoint, [sample.inputs])[0].logits
    before = _traces(checkpoint)

    def refuse(*_, **__):
        raise KnockoutError("the outer function is not the one in use")

    with attention_function(decoder, refuse, with_masks=True):
        inside = clean_passes(checkpoint, [sample.inputs])[0].logits
        with pytest.raises(KnockoutError, match="outer function"):
            checkpoint.model(**sample.inputs)
    assert torch.equal(inside, expected)
    assert _traces(checkpoint) == before

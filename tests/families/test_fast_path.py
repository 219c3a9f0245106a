"""The fast path on every family: positions, masks and image inputs as the model itself has them."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Edge, Knockout, Method, layer_window
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.positions.resolve import resolve_roles

SIX_EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
WINDOWS = ((1, 0), (1, 3), (3, 1))


def _inputs(sample, checkpoint):
    encoded = encode(sample, checkpoint)
    return encoded, {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def _knockouts(encoded, checkpoint, edges=SIX_EDGES):
    roles = resolve_roles(encoded, checkpoint)
    return [
        Knockout(
            sources=roles.union(edge.sources),
            targets=roles.union(edge.targets),
            layers=layer_window(center, width, checkpoint.decoder_layers),
        )
        for edge in map(Edge.parse, edges)
        for width, center in WINDOWS
    ]


def _assert_equal(got, expected):
    torch.testing.assert_close(got.softmax(-1), expected.softmax(-1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_six_edges_as_by_definition(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    encoded, inputs = _inputs(photo_sample(), checkpoint)
    (clean,) = clean_passes(checkpoint, [inputs])
    with torch.no_grad():
        _assert_equal(clean.logits, checkpoint.model(**inputs).logits[0, -1].float())
    knockouts = _knockouts(encoded, checkpoint)
    fast = knockout_logits(checkpoint, clean, knockouts)
    for knockout, logits in zip(knockouts, fast, strict=True):
        _assert_equal(logits, definition_logits(checkpoint, inputs, knockout))
    moved = (fast.softmax(-1) - clean.logits.softmax(-1)).abs().amax(-1)
    assert moved.max() > 1e-3, "a comparison of knockouts that do nothing proves nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_other_methods_and_targets_inside_the_image(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    encoded, inputs = _inputs(photo_sample(), checkpoint)
    _, other = _inputs(photo_sample(seed=1), checkpoint)
    clean, counterfactual = clean_passes(checkpoint, [inputs, other])
    knockouts = _knockouts(encoded, checkpoint, ["image->question", "image->last"])
    image = resolve_roles(encoded, checkpoint)["image"]
    knockouts.append(Knockout(sources=image[:3], targets=image[3:], layers=range(1, 3)))
    for method in Method:
        is_counterfactual = method is Method.COUNTERFACTUAL
        fast = knockout_logits(
            checkpoint,
            clean,
            knockouts,
            method=method,
            counterfactual=counterfactual if is_counterfactual else None,
        )
        for knockout, logits in zip(knockouts, fast, strict=True):
            slow = definition_logits(
                checkpoint,
                inputs,
                knockout,
                method=method,
                counterfactual=other if is_counterfactual else None,
            )
            _assert_equal(logits, slow)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_padded_batch_is_each_sample_alone(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    samples = [
        photo_sample(),
        photo_sample(seed=1, question="Is the cup on the table red or is the cup blue, really?"),
    ]
    encoded, inputs = zip(*(_inputs(sample, checkpoint) for sample in samples), strict=True)
    assert len({len(one.input_ids) for one in encoded}) == 2
    for one, given, batched in zip(encoded, inputs, clean_passes(checkpoint, inputs), strict=True):
        (alone,) = clean_passes(checkpoint, [given])
        _assert_equal(batched.logits, alone.logits)
        knockouts = _knockouts(one, checkpoint, SIX_EDGES[:4])
        _assert_equal(
            knockout_logits(checkpoint, batched, knockouts),
            knockout_logits(checkpoint, alone, knockouts),
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_proof_on_loading_holds(family_checkpoint, family):
    prove_exact(family_checkpoint(family))

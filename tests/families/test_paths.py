"""Cuts of several edges, heads and patched states on every family, against plain passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from families import FAMILIES

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Together
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.backpatch import BackPatch
from mmflow_bench.measurements.cut_path_rows import seeing
from mmflow_bench.measurements.cut_paths import CutPaths
from mmflow_bench.measurements.head_masks import MASKS, PAIRS, HeadMasks, random_half
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.wants import ANSWERS, UNSCORED
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

OUT_OF_REACH = ("gemma3",)
"""Sliding windows of this one end before the image, so that hardly anything changes."""
CLAIMED = CutPaths(
    stretches=(
        Stretch.of("image -> suffix+last"),
        Stretch.of("image -> question", outside=(0, 0.3)),
        Stretch.of("image -> image", within=(0.2, 0.6), spares_self=True),
    )
)
BLIND = CutPaths(stretches=(Stretch.of("image -> text"),))
GATE = CutPaths(stretches=(Stretch.of("after_image -> following"),))
HEADS = HeadMasks.of("image -> question")
PATCHES = (BackPatch(late=0.5, early=0.25), BackPatch(late=0.75, early=0.0))


def _measured(checkpoint, sample, *wants):
    (done,) = measure(checkpoint, [Job(sample=sample, key="own", wants=wants, keep_incorrect=True)])
    assert UNSCORED not in done.rows, done.rows[UNSCORED]
    return done.rows


def _inputs(checkpoint, sample):
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    return inputs, resolve_roles(encoded, checkpoint)


def _probability(checkpoint, inputs, intervention, token):
    logits = definition_logits(checkpoint, inputs, intervention)
    return float(logits.double().softmax(-1)[token])


@pytest.mark.parametrize("family", FAMILIES)
def test_cuts_of_several_edges_are_those_of_plain_passes(family_checkpoint, photo_sample, family):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    rows = _measured(checkpoint, sample, CLAIMED, BLIND, GATE)
    (answer,) = rows[ANSWERS]
    inputs, roles = _inputs(checkpoint, sample)
    image, last = roles[Role.IMAGE], roles[Role.LAST]
    every = range(4)
    expected = {
        CLAIMED: Together(
            parts=(
                Knockout(sources=image, targets=(*roles[Role.SUFFIX], *last), layers=every),
                Knockout(sources=image, targets=roles[Role.QUESTION], layers=range(2, 4)),
                Knockout(sources=image, targets=image, layers=range(1, 3), spares_self=True),
            )
        ),
        BLIND: Knockout(sources=image, targets=roles[Role.TEXT], layers=every),
        GATE: Knockout(
            sources=(max(image) + 1,),
            targets=tuple(range(max(image) + 2, last[0] + 1)),
            layers=every,
        ),
    }
    token, clean = answer["answer_token_id"], answer["base_probability"]
    for want, intervention in expected.items():
        (row,) = rows[want.shard]
        plain = _probability(checkpoint, inputs, intervention, token)
        assert row["knockout_probability"] == pytest.approx(plain, rel=1e-5), want.name
        # Otherwise nothing would show that anything was cut.
        assert family in OUT_OF_REACH or abs(plain - clean) > 1e-5 * clean, want.name


@pytest.mark.parametrize("family", FAMILIES)
def test_heads_are_those_of_plain_passes(family_checkpoint, photo_sample, family):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    rows = _measured(checkpoint, sample, HEADS)
    found = {row["mask"]: row for row in rows[HEADS.shard]}
    assert sorted(found) == list(range(MASKS))
    inputs, roles = _inputs(checkpoint, sample)
    heads = found[0]["heads"]
    assert heads == checkpoint.parts.text_config.num_attention_heads
    half = random_half("own", PAIRS - 1, layers=4, heads=heads)
    for number, mask in (
        (0, half & ~half),
        (1, half | ~half),
        (MASKS - 2, half),
        (MASKS - 1, ~half),
    ):
        plain = _probability(
            checkpoint,
            inputs,
            Together(
                parts=tuple(
                    Knockout(
                        sources=roles[Role.IMAGE],
                        targets=roles[Role.QUESTION],
                        layers=range(layer, layer + 1),
                        heads=(head,),
                    )
                    for layer, head in np.argwhere(mask).tolist()
                )
            ),
            rows[ANSWERS][0]["answer_token_id"],
        )
        expected = math.log(plain / (1 - plain))
        assert found[number]["log_odds"] == pytest.approx(expected, abs=2e-5), number


@pytest.mark.parametrize("family", FAMILIES)
def test_patched_states_are_those_of_plain_hooks(family_checkpoint, photo_sample, family):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    rows = _measured(checkpoint, sample, *PATCHES)
    inputs, roles = _inputs(checkpoint, sample)
    image = list(roles[Role.IMAGE])
    clean = rows[ANSWERS][0]["reference_probability"]
    for want, (late, early) in zip(PATCHES, ((2, 1), (3, 0)), strict=True):
        seen, layers = [], checkpoint.parts.decoder_layers

        def keep(_, arguments, seen=seen):
            seen.append(arguments[0][:, image].clone())

        def put(_, arguments, seen=seen):
            hidden = arguments[0].clone()
            hidden[:, image] = seen[0]
            return (hidden, *arguments[1:])

        with torch.no_grad():
            handle = layers[late].register_forward_pre_hook(keep)
            checkpoint.model(**inputs)
            handle.remove()
            handle = layers[early].register_forward_pre_hook(put)
            chances = checkpoint.model(**inputs).logits[0, -1].double().softmax(-1)
            handle.remove()
        (row,) = rows[want.shard]
        tokens = _reference(checkpoint, sample)
        assert row["reference_probability"] == pytest.approx(float(chances[tokens].sum()), rel=1e-5)
        assert family in OUT_OF_REACH or abs(row["reference_probability"] - clean) > 1e-5 * clean


def _reference(checkpoint, sample):
    forms = [
        space + word for word in (sample.answer, sample.answer.capitalize()) for space in ("", " ")
    ]
    space = checkpoint.tokenizer.encode(" ", add_special_tokens=False)
    found = [checkpoint.tokenizer.encode(form, add_special_tokens=False) for form in forms]
    return sorted({next(token for token in tokens if token not in space) for tokens in found})


def test_the_answer_with_patched_states_is_the_one_that_is_generated(
    family_checkpoint, photo_sample
):
    checkpoint, sample = family_checkpoint("llava_next"), photo_sample(seed=0)
    (row,) = _measured(checkpoint, sample, PATCHES[1])[PATCHES[1].shard]
    inputs, roles = _inputs(checkpoint, sample)
    image, layers = list(roles[Role.IMAGE]), checkpoint.parts.decoder_layers
    seen = []
    handle = layers[3].register_forward_pre_hook(lambda _, a: seen.append(a[0][:, image].clone()))
    with torch.no_grad():
        checkpoint.model(**inputs)
    handle.remove()

    def put(_, arguments):
        if arguments[0].shape[1] == 1:
            return None
        hidden = arguments[0].clone()
        hidden[:, image] = seen[0]
        return (hidden, *arguments[1:])

    handle = layers[0].register_forward_pre_hook(put)
    with torch.no_grad():
        tokens = checkpoint.model.generate(**inputs, max_new_tokens=12, do_sample=False)
    handle.remove()
    new = tokens[0, inputs["input_ids"].shape[1] :]
    said = checkpoint.tokenizer.decode(new, skip_special_tokens=True).lstrip().partition("\n")[0]
    assert row["prediction"]
    assert said.startswith(row["prediction"])


def test_only_what_sees_the_sources_is_computed_again(family_checkpoint, photo_sample):
    checkpoint, sample = family_checkpoint("llava_next"), photo_sample(seed=0)
    inputs, roles = _inputs(checkpoint, sample)
    clean = clean_passes(checkpoint, [inputs])[0]
    image, text = roles[Role.IMAGE], roles[Role.TEXT]
    assert text[0] == 0
    assert seeing(clean, image, text) == tuple(range(image[-1] + 1, clean.length))
    assert seeing(clean, roles[Role.LAST], image) == ()

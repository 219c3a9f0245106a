"""Questions without their image, on every family, against plain forward passes of the model."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.wants import ANSWERS, UNSCORED
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

BLINDED = [family for family in FAMILIES if family != "gemma3"]
REMOVED, EXCHANGED = (Blind(blinding=blinding) for blinding in Blinding)


def _inputs(sample, checkpoint, image=None):
    encoded = encode(sample, checkpoint, image=image)
    return encoded, {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def _rows(checkpoint, sample, donor):
    job = Job(
        sample=sample,
        key="own",
        wants=(REMOVED, EXCHANGED),
        keep_incorrect=True,
        donor=donor,
        donor_key="other",
    )
    (measured,) = measure(checkpoint, [job])
    return measured.rows


@pytest.mark.parametrize("family", BLINDED)
def test_answers_without_the_image_are_those_of_plain_passes(
    family_checkpoint, photo_sample, family
):
    checkpoint = family_checkpoint(family)
    sample, donor = photo_sample(seed=0), photo_sample(seed=1)
    rows = _rows(checkpoint, sample, donor)
    assert UNSCORED not in rows
    followed = rows[ANSWERS][0]["answer_token_id"]

    encoded, inputs = _inputs(sample, checkpoint)
    image = resolve_roles(encoded, checkpoint)[Role.IMAGE]
    others = tuple(sorted(set(range(len(encoded.offsets))) - set(image)))
    nothing_of_it = Knockout(sources=image, targets=others, layers=range(checkpoint.decoder_layers))
    masked = definition_logits(checkpoint, inputs, nothing_of_it).double().softmax(-1)
    (removed,) = rows[REMOVED.shard]
    assert removed["blind_probability"] == pytest.approx(float(masked[followed]), rel=1e-5)

    _, inputs = _inputs(sample, checkpoint, image=donor.image)
    with torch.no_grad():
        plain = checkpoint.model(**inputs).logits[0, -1].double().softmax(-1)
    (exchanged,) = rows[EXCHANGED.shard]
    assert exchanged["blind_probability"] == pytest.approx(float(plain[followed]), rel=1e-5)
    assert exchanged["sample"] == "own+other"
    # Otherwise nothing would show that the image was taken away at all.
    clean = rows[ANSWERS][0]["base_probability"]
    assert abs(removed["blind_probability"] - clean) > 1e-4 * clean
    assert abs(exchanged["blind_probability"] - clean) > 1e-4 * clean


def test_a_window_that_would_reach_over_the_gap_is_refused(family_checkpoint, photo_sample):
    """Windows of 9 end within an image of 16 positions: without it they would reach the prompt."""
    rows = _rows(family_checkpoint("gemma3"), photo_sample(seed=0), photo_sample(seed=1))
    assert REMOVED.shard not in rows
    assert len(rows[EXCHANGED.shard]) == 1
    (refused,) = rows[UNSCORED]
    assert refused["scope"] == REMOVED.shard.name
    assert refused["reason"] == "knockout-refused"
    assert "gemma3" in refused["message"]

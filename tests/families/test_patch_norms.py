"""Norms of the features that image positions show, on every family, found again by equal rows."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.errors import PositionError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.tower import feature_norms
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.patch_areas import PATCH_AREAS, PatchAreas
from mmflow_bench.measurements.patch_norms import PATCH_NORMS, PatchNorms
from mmflow_bench.measurements.wants import UNSCORED
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

FAMILIES = (
    "idefics3",
    "internvl",
    "llava_next",
    "llava_onevision",
    "paligemma",
    "qwen2_5_vl",
    "qwen2_vl",
    "smolvlm",
)
WITHOUT = Sweep.of("other_without_sinks -> question", width=1)


def _inputs(checkpoint, sample):
    encoded = encode(sample, checkpoint)
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def _by_equal_rows(checkpoint, inputs):
    """Position -> largest norm among the features whose projection stands there.

    Random weights make every projection another, so that a position shows the row it equals.
    """
    seen = []
    projector = checkpoint.parts.projector
    hook = projector.register_forward_hook(lambda _, given, row: seen.append((given[0], row)))
    try:
        clean = clean_passes(checkpoint, [inputs])[0]
    finally:
        hook.remove()
    ((features, rows),) = seen
    rows = rows.reshape(-1, rows.shape[-1])
    norms = features.norm(dim=-1).reshape(len(rows), -1).amax(dim=-1)
    # Some families scale what they embed, and take the scale back.
    same = torch.isclose(clean.embeddings[:, None], rows[None], rtol=1e-4).all(dim=-1)
    return {
        position: float(norms[int(found.nonzero()[0])])
        for position, found in enumerate(same)
        if found.any()
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_norms_are_those_of_the_rows_that_stand_at_the_positions(
    family_checkpoint, photo_sample, family
):
    checkpoint = family_checkpoint(family)
    inputs = _inputs(checkpoint, photo_sample(seed=0))
    norms = feature_norms(checkpoint, inputs, sample="q")
    expected = _by_equal_rows(checkpoint, inputs)
    assert len(expected) > 3
    found = {i: float(n) for i, n in enumerate(norms) if torch.isfinite(n)}
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("family", ["gemma3", "mistral3"])
def test_a_projector_that_mixes_features_is_refused(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    with pytest.raises(PositionError, match="mixed") as caught:
        feature_norms(checkpoint, _inputs(checkpoint, photo_sample(seed=0)), sample="q")
    assert caught.value.reason == "no-patch-features"


def _rows(checkpoint, sample, *wants):
    job = Job(sample=sample, key="own", wants=wants, keep_incorrect=True)
    (measured,) = measure(checkpoint, [job])
    return measured.rows


@pytest.mark.parametrize("family", ["llava_next", "qwen2_vl"])
def test_patches_without_sinks_are_measured(family_checkpoint, photo_sample, family):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    encoded = encode(sample, checkpoint)
    patches = len(resolve_roles(encoded, checkpoint)[Role.IMAGE])
    patches -= len(encoded.layout.newlines)
    rows = _rows(checkpoint, sample, PatchNorms(), PatchAreas(), WITHOUT)
    assert UNSCORED not in rows
    (norms,) = rows[PATCH_NORMS]
    assert len(norms["tower"]) == len(norms["projected"]) == len(norms["massive"]) == patches
    assert sum(norm > norms["threshold"] for norm in norms["tower"]) == 1
    assert rows[PATCH_AREAS][0]["patches"] == patches
    assert len(rows[WITHOUT.shard]) == checkpoint.decoder_layers


def test_a_family_without_features_loses_what_needs_them_alone(family_checkpoint, photo_sample):
    checkpoint = family_checkpoint("gemma3")
    massive = Sweep.of("other_without_decoder_sinks -> question", width=1)
    rows = _rows(checkpoint, photo_sample(seed=0), PatchNorms(), PatchAreas(), WITHOUT, massive)
    refused = {row["scope"]: row["reason"] for row in rows[UNSCORED]}
    assert refused == dict.fromkeys((PATCH_NORMS.name, WITHOUT.shard.name), "no-patch-features")
    assert len(rows[PATCH_AREAS]) == 1
    assert len(rows[massive.shard]) == checkpoint.decoder_layers

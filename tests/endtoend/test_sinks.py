"""Sinks and areas of patches of planted checkpoints, from the weights to the rows of the store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.patch_areas import PATCH_AREAS, PatchAreas
from mmflow_bench.measurements.patch_norms import PATCH_NORMS, PatchNorms
from mmflow_bench.measurements.wants import UNSCORED
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.sinks import DECODER_PATCH, TOWER_PATCH
from mmflow_bench.positions.sinks import MASSIVE
from mmflow_bench.scenes.letterbox import letterbox_scene_samples
from mmflow_bench.scenes.questions import scene_samples

SOURCES = (
    "other_without_sinks",
    "related_without_sinks",
    "other_without_decoder_sinks",
    "related_without_decoder_sinks",
)


def rows_of(checkpoint, sample, *wants):
    (measured,) = measure(checkpoint, [Job(sample=sample, key="own", wants=wants)])
    return measured.rows


@pytest.fixture(scope="module")
def sample():
    """One whose objects leave the upper corners free."""
    samples = scene_samples(seed=6, tasks=["ChooseAttr"])
    return next(one for one in samples if all(box.y >= 14 for box in one.boxes))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["planted/tower-sink-read", "planted/decoder-sink-read"])
def test_measured_curves_without_sinks_are_those_of_the_design(name, sample):
    checkpoint = load_checkpoint(resolve_checkpoint(name))
    sweeps = {source: Sweep.of(f"{source} -> question", width=9) for source in SOURCES}
    rows = rows_of(checkpoint, sample, PatchNorms(), *sweeps.values())
    assert UNSCORED not in rows
    base = closed_form.base_probability(name)
    for source, sweep in sweeps.items():
        knocked = np.array([row["knockout_probability"] for row in rows[sweep.shard]])
        expected = closed_form.relative_change(name, f"{source}->question", width=9)
        np.testing.assert_allclose(knocked / base - 1, expected, atol=1e-4)
    (norms,) = rows[PATCH_NORMS]
    above = np.flatnonzero(np.array(norms["tower"]) > norms["threshold"])
    assert above.tolist() == [TOWER_PATCH]
    assert np.flatnonzero(np.array(norms["massive"]) >= MASSIVE).tolist() == [DECODER_PATCH]
    # Every state has the norm of the constant, or of what stands in its place.
    np.testing.assert_allclose(norms["projected"], 4096.0, rtol=1e-4)


def test_the_small_checkpoint_has_no_sinks_and_its_sample_no_padding(sample):
    checkpoint = load_checkpoint(resolve_checkpoint("planted/mini"))
    sinks = Sweep.of("sinks -> question", width=3)
    whole, without = (
        Sweep.of(f"{of} -> question", width=3) for of in ("other_patches", "other_without_sinks")
    )
    padding = Sweep.of("padding_patches -> question", width=3)
    wants = (PatchNorms(), PatchAreas(), sinks, whole, without, padding)
    rows = rows_of(checkpoint, sample, *wants)
    refused = {row["scope"]: row["reason"] for row in rows[UNSCORED]}
    assert refused == {sinks.shard.name: "empty-role", padding.shard.name: "no-padding"}
    # Left out are none, so that the same is cut.
    assert rows[without.shard] == rows[whole.shard]
    assert rows[PATCH_AREAS] == [
        {"sample": "own", "patches": 36, "related": 4 * len(sample.boxes), "padding": 0}
    ]


def test_a_sample_without_an_image_or_boxes_says_so(sample):
    checkpoint = load_checkpoint(resolve_checkpoint("planted/mini"))
    wants = (PatchNorms(), PatchAreas(), Sweep.of("other_without_sinks -> question", width=3))
    for changes, expected in (
        ({"image": None, "boxes": ()}, {"no-image"}),
        ({"boxes": ()}, {"no-boxes"}),
    ):
        job = Job(sample=replace(sample, **changes), key="own", wants=wants, keep_incorrect=True)
        (measured,) = measure(checkpoint, [job])
        assert {row["reason"] for row in measured.rows[UNSCORED]} == expected


@pytest.mark.slow
def test_padding_is_found_in_a_photo_that_is_wider_than_high():
    (sample,) = letterbox_scene_samples(per_task=1, seed=3, tasks=["ChooseAttr"])
    checkpoint = load_checkpoint(resolve_checkpoint("planted/padding-read"))
    sources = ("padding_patches", "matched_patches", "related_patches")
    sweeps = {source: Sweep.of(f"{source} -> question", width=9) for source in sources}
    rows = rows_of(checkpoint, sample, PatchAreas(), *sweeps.values())
    assert rows[PATCH_AREAS][0]["padding"] == 12
    base = closed_form.base_probability("planted/padding-read")
    curves = {
        source: np.array([row["knockout_probability"] for row in rows[sweep.shard]]) / base - 1
        for source, sweep in sweeps.items()
    }
    expected = closed_form.relative_change(
        "planted/padding-read", "padding_patches->question", width=9
    )
    np.testing.assert_allclose(curves["padding_patches"], expected, atol=1e-4)
    # As many others at random never are all that knows the context.
    np.testing.assert_allclose(curves["matched_patches"], 0.0, atol=1e-4)


@pytest.mark.slow
def test_samples_of_several_lengths_are_as_massive_together_as_alone():
    checkpoint = load_checkpoint(resolve_checkpoint("planted/sinks-idle"))
    samples = [scene_samples(per_task=1, tasks=[task])[0] for task in ("ChooseAttr", "ChooseRel")]
    inputs = []
    for sample in samples:
        encoded = encode(sample, checkpoint)
        inputs.append({"input_ids": encoded.input_ids[None], **encoded.model_inputs})
    assert len({one["input_ids"].shape for one in inputs}) == 2
    together = clean_passes(checkpoint, inputs)
    for given, clean in zip(inputs, together, strict=True):
        (alone,) = clean_passes(checkpoint, [given])
        assert int((clean.massive >= MASSIVE).sum()) == 2
        np.testing.assert_allclose(clean.massive, alone.massive, rtol=1e-5, atol=1e-5)

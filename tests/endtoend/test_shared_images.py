"""Questions about one image share its pass, and their numbers do not depend on who came first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements import shared_images
from mmflow_bench.measurements.jobs import Mastery
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.scenes.questions import scene_samples

TASK = "ChooseAttr"
WANT = Sweep.of("image -> question", width=3)


def about_one_image():
    """Four questions about two images, in turns, as files have them."""
    scenes = scene_samples(per_task=3, tasks=(TASK,))[::2]
    return tuple(
        replace(
            scene, question_id=f"{scene.question_id}-{turn}", question=scene.question + " " * turn
        )
        for turn in range(2)
        for scene in scenes
    )


def measured(samples, *, cache=None):
    spec = resolve_spec("planted/mini", CheckpointSettings(device="cpu"))
    settings = MeasurementSettings(cache=cache, self_test=False)
    file = QuestionFile(samples=tuple(samples), unscored=(), fingerprint="made up")
    return Measurements(spec, SampleSet(file), settings)


@pytest.fixture
def passes(monkeypatch):
    """How many passes up to the end of an image were made."""
    counted = []
    made = shared_images.clean_passes

    def clean_passes(*given, **how):
        counted.append(1)
        return made(*given, **how)

    monkeypatch.setattr(shared_images, "clean_passes", clean_passes)
    return counted


def test_an_image_goes_through_the_model_once(passes):
    table = measured(about_one_image()).table(TASK, WANT)
    assert len(table.question_ids) == 4
    assert len(passes) == 2


def test_an_image_with_one_question_is_one_pass(passes):
    measured(about_one_image()[:2]).table(TASK, WANT)
    assert not passes


def test_numbers_are_those_of_a_whole_pass():
    samples = about_one_image()
    together = measured(samples).table(TASK, WANT)
    for sample, change in zip(samples, together.relative_change, strict=True):
        alone = measured([sample]).table(TASK, WANT).relative_change[0]
        np.testing.assert_allclose(change, alone, atol=1e-5)


def test_a_run_that_goes_on_gives_the_very_numbers(tmp_path):
    samples = about_one_image()
    whole = measured(samples, cache=tmp_path / "whole").table(TASK, WANT)
    parted = measured(samples, cache=tmp_path / "parted")
    parted._asked[TASK] = {WANT: None}
    last = parted.stored.jobs(TASK, [WANT])[-1:]
    parted._measure(TASK, last, Mastery(selected=4, wrong=0, unscored=0, minimum=0.0))
    assert np.array_equal(parted.table(TASK, WANT).relative_change, whole.relative_change)

"""Any of a question's accepted answers makes a sample correct."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow


def test_an_answer_that_others_gave_is_correct(tmp_path: Path) -> None:
    scenes = scene_samples(per_task=3, tasks=["QueryAttr"])
    for scene in scenes:
        scene.image.save(tmp_path / f"{scene.image_id}.png")
    asked = [
        replace(scenes[0], question_id="alone", answer="blurred"),
        replace(scenes[1], question_id="among", answer="blurred", answers=(scenes[1].answer,)),
        replace(scenes[2], question_id="none", answer="blurred", answers=("hazy",)),
    ]
    write_samples(asked, tmp_path / "q.jsonl")
    measurements = Measurements.open(
        resolve_checkpoint("planted/mini"),
        MeasurementSettings(questions=tmp_path / "q.jsonl", images=tmp_path, self_test=False),
    )
    assert measurements.accuracy("QueryAttr").correct == 1
    assert [sample.question_id for sample in measurements.stored.kept("QueryAttr")] == ["among"]

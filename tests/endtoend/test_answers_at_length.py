"""Answers of several pieces and long ones, from measuring to the statements about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.long_answer import LongAnswer
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.mechanisms.verdicts import NotApplicable, PreconditionFailed
from mmflow_bench.reports.progress import MeasuringBar
from mmflow_bench.scenes.descriptions import described_scene_samples

TASK, EDGE = "ChooseAttr", "question->last"


def opened(name: str, **options: object) -> Measurements:
    settings = MeasurementSettings(**{"limit": "2", "self_test": False, **options})
    return Measurements.open(resolve_checkpoint(name), settings)


def guarded(measurements: Measurements) -> Flow:
    planned = PlannedMeasurements(measurements, plan={}, window=None, bar=MeasuringBar(None))
    return Flow(GuardedMeasurements(planned))


@pytest.mark.slow
def test_answers_of_one_token_are_counted_and_not_measured() -> None:
    measurements = opened("planted/mini", limit="1", tasks=(TASK,))
    flow, count = Flow(measurements), len(measurements.samples.of(TASK))
    with pytest.raises(NotApplicable, match=rf"several pieces \(single-token-answer: {count}\)"):
        flow.piece("last")(EDGE, TASK)
    with pytest.raises(NotApplicable, match=rf"answer about an image \(short-answer: {count}\)"):
        flow.long_answers()
    counted = measurements.refusals(TASK)
    assert counted[f"{EDGE} (last piece)"] == {"single-token-answer": count}
    assert counted["image->generated"] == {"short-answer": count}
    # What is refused is not asked again.
    want = LastPiece(sweep=Sweep.of(EDGE))
    assert measurements.stored.jobs(TASK, (want.at(measurements.width),)) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["unnormalised", "counterfactual"])
def test_last_pieces_are_knocked_out_by_other_methods_too(method: str) -> None:
    measurements = opened("planted/two-pieces", limit="4")
    sweep = Sweep.of(EDGE, width=9, method=method)
    first = measurements.table(TASK, sweep)
    last = measurements.table(TASK, LastPiece(sweep=sweep))
    assert first.question_ids == last.question_ids != ()
    assert last.relative_change.min() < -0.2
    np.testing.assert_allclose(last.relative_change, first.relative_change, atol=2e-3)


@pytest.mark.slow
def test_answers_to_follow_may_be_references_and_pieces_are_of_right_answers() -> None:
    measurements = opened("planted/two-pieces", limit="1", follow=Followed.REFERENCE)
    last = measurements.table(TASK, LastPiece(sweep=Sweep.of(EDGE, width=9)))
    assert len(last.question_ids) == len(measurements.stored.kept(TASK))


@pytest.fixture
def captions(tmp_path: Path) -> list[str]:
    """Scenes whose references are other sentences than any checkpoint says."""
    scenes = [replace(scene, answer="two things") for scene in described_scene_samples(per_task=2)]
    for scene in scenes:
        scene.image.save(tmp_path / f"{scene.image_id}.png")
    write_samples(scenes, tmp_path / "q.jsonl")
    return [str(tmp_path / "q.jsonl"), str(tmp_path)]


@pytest.mark.slow
def test_long_answers_are_followed_whether_they_are_the_reference_or_not(captions) -> None:
    questions, images = map(Path, captions)
    measurements = opened("planted/sentence-from-image", questions=questions, images=images)
    flow = guarded(measurements)
    drop = flow.long_answers()
    assert measurements.accuracy("Describe").correct == 0
    assert drop.peak.n == 2
    assert drop.peak.value < -0.9
    with pytest.raises(PreconditionFailed, match="0 of 2 answers correct"):
        flow("image -> last", "Describe")
    # Generated to its end, however short the reference is.
    rows = measurements.store.read(LongAnswer().at(measurements.width).shard).to_pylist()
    assert {row["token"] for row in rows} == {1, 2, 3}


@pytest.mark.slow
def test_the_first_word_of_a_sentence_does_not_see_the_image_and_the_others_do() -> None:
    flow = Flow(opened("planted/sentence-from-image"))
    assert abs(flow("image -> last", "Describe").peak.value) < 1e-4
    assert flow.long_answers().peak.value < -0.9

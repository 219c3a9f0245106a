"""Questions without their image: on checkpoints whose flow is known, stored, and in reports."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import many_images
import numpy as np
import pytest
from click.testing import CliRunner
from forked import run_module

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.main import main
from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.gains import OPTION_GAIN, RIVALS
from mmflow_bench.scenes.questions import scene_samples

REMOVED, EXCHANGED = (Blind(blinding=blinding) for blinding in Blinding)
TASK = "ChooseAttr"


def opened(name: str = "planted/mini", **options: Any) -> Measurements:
    settings = MeasurementSettings(**({"limit": "4", "self_test": False} | options))
    return Measurements.open(resolve_checkpoint(name), settings)


def written(folder: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """Settings that ask a file of these samples."""
    for sample in samples:
        sample.image.save(folder / f"{sample.image_id}.png")
    write_samples(samples, folder / "q.jsonl")
    return {"questions": folder / "q.jsonl", "images": folder, "cache": folder / "cache"}


def naming_their_answer(count: int) -> list[Sample]:
    """`What color is the cup, red?`, asked of a red cup."""
    scenes = scene_samples(per_task=count, tasks=[TASK])
    words = [f"{scene.question.partition(',')[0]}, {scene.answer}?" for scene in scenes]
    return [
        replace(scene, question=question, false_option=scene.object_names[0])
        for scene, question in zip(scenes, words, strict=True)
    ]


def test_without_its_image_a_planted_checkpoint_gives_every_word_the_same_chance() -> None:
    flow = Flow(opened(limit="3"))
    for task in SIX_TASKS:
        blind = flow.blind(task)
        chance = 1 / (RIVALS + 1)
        expected = chance / closed_form.base_probability("planted/mini", task=task) - 1
        assert blind.probability_removed.value == pytest.approx(chance, abs=1e-5), task
        assert blind.saturation.value == pytest.approx(expected, abs=1e-5), task
        # Of words that are equally likely none is an answer, whichever happens to come first.
        assert (blind.accuracy.value, blind.accuracy_removed.value) == (1.0, 0.0)
    # A part of the image cannot be worth more than the whole.
    assert flow("image -> question", TASK).peak.value > flow.blind(TASK).saturation.value


def test_with_another_image_the_answer_is_that_of_the_other(tmp_path: Path) -> None:
    measurements = opened(tasks=(TASK,), cache=tmp_path)
    table = measurements.table(TASK, EXCHANGED)
    assert not table.is_blind_correct.any()
    # Less likely than by chance: another word is spoken for.
    assert (table.blind_probability < 0.5 / (RIVALS + 1)).all()
    said = {row["sample"]: row for row in measurements.store.read(EXCHANGED.shard).to_pylist()}
    for sample in measurements.samples.of(TASK):
        donor = measurements.samples.donor(TASK, sample)
        keys = [measurements.samples.keys[one.question_id] for one in (sample, donor)]
        assert said["+".join(keys)]["prediction"].lower() == donor.answer


def test_answers_that_questions_name_need_no_image(tmp_path: Path) -> None:
    asked = written(tmp_path, naming_their_answer(4))
    blind = Flow(opened("planted/true-false-option", limit=None, **asked)).blind(TASK)
    named = math.exp(OPTION_GAIN)
    assert blind.accuracy_removed.value == 1.0
    assert blind.probability_removed.value == pytest.approx(named / (named + RIVALS), abs=1e-4)
    assert -0.45 < blind.saturation.value < -0.35


def test_wrong_answers_are_asked_without_their_image_too(tmp_path: Path) -> None:
    scenes = list(scene_samples(per_task=4, tasks=[TASK]))
    scenes[3] = replace(scenes[3], answer="material")
    asked = written(tmp_path, scenes)
    followed = opened(limit=None, **asked)
    table = followed.table(TASK, REMOVED)
    assert table.is_correct.tolist() == table.is_followed.tolist() == [True] * 3 + [False]
    blind = Flow(followed).blind(TASK)
    assert (blind.accuracy.value, blind.accuracy.n) == (0.75, 4)
    assert blind.saturation.n == 3
    # Whoever follows the reference answer follows it on all of them, from the same rows.
    reference = opened(limit=None, follow=Followed.REFERENCE, from_cache=True, **asked)
    table = reference.table(TASK, REMOVED)
    assert table.is_followed.all()
    assert table.relative_change.max() <= 1.0


def test_samples_without_a_donor_are_counted(tmp_path: Path) -> None:
    scenes = [s for s in scene_samples(per_task=14, tasks=[TASK]) if s.answer == "red"]
    measurements = opened(limit=None, **written(tmp_path, scenes))
    blind = Flow(measurements).blind(TASK)
    assert blind.exchanged is None
    assert blind.accuracy_exchanged is None
    assert measurements.refusals(TASK) == {"image exchanged": {"knockout-refused": len(scenes)}}


def test_mmflow_measure_measures_it_and_a_run_from_the_store_reads_it(tmp_path: Path) -> None:
    words = ["measure", "--model=planted/mini", "--mechanisms=ds-blind", "--limit=3"]
    words += [f"--tasks={TASK}", f"--mmflow-cache={tmp_path}"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    stored = opened(tasks=(TASK,), limit="3", cache=tmp_path, from_cache=True)
    for want in (REMOVED, EXCHANGED):
        table = stored.table(TASK, want)
        assert len(set(table.image_ids)) == 3
        fresh = opened(tasks=(TASK,), limit="3").table(TASK, want)
        np.testing.assert_array_equal(table.blind_probability, fresh.blind_probability)


@pytest.mark.slow
def test_a_run_names_the_task_that_is_answered_without_its_images(tmp_path: Path) -> None:
    written(tmp_path, naming_their_answer(8))
    suites = Path(__file__).parents[2] / "suites"
    command = [
        *("run", str(suites)),
        *("--model=planted/true-false-option", "--mechanisms=ds-blind", "--report=md,html"),
        *(f"--questions={tmp_path / 'q.jsonl'}", f"--images={tmp_path}", "-p", "many_images"),
        *(f"--mmflow-output={tmp_path / 'out'}", "--no-self-test", "--mmflow-cache=off"),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(many_images.__file__).parent)}
    finished = run_module("mmflow_bench.cli", command, cwd=tmp_path, env=environment)
    assert finished.returncode == 1, finished.stdout + finished.stderr
    line = "ChooseAttr can be answered without its image (100% right without it, 100% with it)"
    (folder,) = (tmp_path / "out").iterdir()
    content = json.loads((folder / "results.json").read_text())
    assert content["summary"] == {"fails": 1, "not-applicable": 5}
    blind = content["data"]["tasks"][TASK]["blind"]
    assert (blind["accuracy_removed"], blind["accuracy_exchanged"], blind["n"]) == (
        1.0,
        1.0,
        8 * many_images.COPIES,
    )
    shown = f"drops saturate near {round(100 * blind['saturation'], 1):g}%"
    folded = " ".join(finished.stdout.split())
    for text in (folded, (folder / "report.html").read_text(), (folder / "summary.md").read_text()):
        assert line in text.replace("&#40;", "(").replace("&#41;", ")")
        assert shown in text

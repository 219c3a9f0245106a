"""Answers and knockouts of a sample come from one pass, and stop where no verdict is in reach."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.main import main
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements import measuring
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.measuring import Planned, PlannedMeasurements
from mmflow_bench.reports.progress import MeasuringBar
from mmflow_bench.scenes.questions import scene_samples

TASK, EDGE, WIDTH, SAMPLES = "QueryAttr", "image->question", 3, 6
WANTED = (Sweep.of(EDGE, width=WIDTH), Lens(probe="answer", variant="raw"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six questions, of which the second and the third have a wrong reference."""
    folder = tmp_path_factory.mktemp("asked")
    scenes = list(scene_samples(per_task=SAMPLES, tasks=[TASK]))
    for scene in scenes:
        scene.image.save(folder / f"{scene.image_id}.png")
    words = {scene.answer for scene in scenes}
    for number in (1, 2):
        wrong = min(words - {scenes[number].answer})
        scenes[number] = replace(scenes[number], answer=wrong)
    write_samples(scenes, folder / "q.jsonl")
    return folder


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each clean pass took through the model."""
    found: list[int] = []
    plain = measuring._clean_passes

    def counted(group: Any, *how: Any) -> Any:
        found.append(len(group))
        return plain(group, *how)

    monkeypatch.setattr(measuring, "_clean_passes", counted)
    return found


def opened(folder: Path, **options: Any) -> Measurements:
    settings = MeasurementSettings(
        questions=folder / "q.jsonl", images=folder, self_test=False, batch_size=1, **options
    )
    return Measurements.open(resolve_checkpoint("planted/mini"), settings)


def planned(measurements: Any, *, is_alone: bool = True) -> PlannedMeasurements:
    return PlannedMeasurements(
        measurements,
        plan={TASK: Planned(WANTED)},
        window=WIDTH,
        bar=MeasuringBar(None),
        is_alone=is_alone,
    )


def test_each_sample_goes_through_the_model_once_where_verdicts_are_in_reach(folder, passes):
    measurements = opened(folder)
    measurements.ensure(TASK, WANTED, minimum_accuracy=0.5)
    assert sum(passes) == SAMPLES
    assert measurements.accuracy(TASK).correct == 4
    assert len(measurements.table(TASK, Sweep.of(EDGE, width=WIDTH)).question_ids) == 4
    assert sum(passes) == SAMPLES


def test_knockouts_stop_once_too_many_answers_are_wrong(folder, passes):
    measurements = opened(folder)
    measurements.ensure(TASK, WANTED, minimum_accuracy=0.8)
    assert sum(passes) == SAMPLES
    assert measurements.accuracy(TASK).correct == 4
    first = measurements.samples.keys[measurements.samples.of(TASK)[0].question_id]
    assert measurements.store.finished(WANTED[0].shard) == {first}


def test_what_stopped_goes_on_when_it_is_asked_for_and_is_what_it_would_have_been(folder, passes):
    stopped, whole = opened(folder), opened(folder)
    stopped.ensure(TASK, WANTED, minimum_accuracy=0.8)
    for measurements in (stopped, whole):
        measurements.ensure(TASK, WANTED)
    # Three that were answered but not cut, and all six of the other.
    assert sum(passes) == SAMPLES + 3 + SAMPLES
    one, other = (m.table(TASK, Sweep.of(EDGE, width=WIDTH)) for m in (stopped, whole))
    assert one.question_ids == other.question_ids
    np.testing.assert_allclose(one.relative_change, other.relative_change, atol=1e-6)
    assert stopped.described() == whole.described()


def test_wrong_answers_do_not_stop_what_follows_the_reference(folder):
    measurements = opened(folder, follow=Followed.REFERENCE)
    measurements.ensure(TASK, WANTED, minimum_accuracy=0.8)
    assert len(measurements.table(TASK, Sweep.of(EDGE, width=WIDTH)).question_ids) == SAMPLES


def test_counting_answers_measures_what_is_planned_where_no_other_process_does(folder, passes):
    alone = planned(opened(folder))
    alone.accuracy(TASK)
    # The accuracy stays below what verdicts need: a test that needs less asks for the rest.
    asked = sum(passes)
    GuardedMeasurements(alone, 0.0).table(TASK, Sweep.of(EDGE, width=WIDTH))
    assert (asked, sum(passes)) == (SAMPLES, SAMPLES + 3)


def test_among_several_processes_it_measures_answers_alone(folder, passes):
    one = planned(opened(folder), is_alone=False)
    one.accuracy(TASK)
    assert not list(one.opened.store.folder.glob("sweep.*.parquet"))
    assert sum(passes) == SAMPLES


OWN = """
import pytest

EDGES = ("image -> question", "question -> last", "image -> last", "last -> last")


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("task", ["QueryAttr", "ChooseAttr"])
def test_mine(flow, edge, task):
    assert flow(edge, task).peak <= 1
"""


@pytest.fixture
def own(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Eight small tests over two tasks of three samples each; the arguments that select both."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MMFLOW_CACHE", str(pytester.path / "store"))
    pytester.makepyfile(test_own=OWN)
    scenes = list(scene_samples(per_task=3, tasks=["QueryAttr", "ChooseAttr"]))
    for scene in scenes:
        scene.image.save(pytester.path / f"{scene.image_id}.png")
    write_samples(scenes, pytester.path / "q.jsonl")
    return ("--model=planted/mini", "--questions=q.jsonl", "--images=.", "--no-self-test")


def test_eight_tests_of_ones_own_take_one_pass_over_the_samples(own, pytester, passes):
    result = pytester.runpytest_inprocess("test_own.py", *own, "--no-twins")
    result.assert_outcomes(passed=8)
    assert sum(passes) == 6


def test_what_tests_of_ones_own_read_can_be_measured_beforehand(own, pytester, passes):
    done = CliRunner().invoke(main, ["measure", "test_own.py", *own])
    assert done.exit_code == 0, done.output
    before = sum(passes)
    # Second opinions are asked of part of the samples, and are there as well.
    result = pytester.runpytest_inprocess("test_own.py", *own, "--from-cache")
    result.assert_outcomes(passed=8)
    assert (before, sum(passes)) == (before, before)
    assert before >= 6


def test_what_tests_ask_of_part_of_the_samples_is_measured_without_second_opinions_too(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    asked = [
        *("--model=planted/mini", "--tasks=ChooseAttr", "--limit=2", "--no-self-test"),
        *("--no-twins", "--mechanisms=x-cf-flips,q-last-drop", f"--mmflow-cache={tmp_path}"),
    ]
    done = CliRunner().invoke(main, ["measure", *asked])
    assert done.exit_code == 0, done.output
    # The one edge of `x-cf-flips`, and not what verdicts would be asked again.
    exchanged = {path.name for path in tmp_path.glob("*/*counterfactual*.parquet")}
    assert exchanged == {"counterfactual.image-to-question.counterfactual.w3.parquet"}
    suites = Path(__file__).parents[2] / "suites"
    result = pytester.runpytest_inprocess(str(suites), *asked, "--from-cache", "--gate=none")
    result.assert_outcomes(passed=2)


def test_what_a_sample_took_is_given_back_as_soon_as_it_is_done(tmp_path: Path) -> None:
    def held() -> int:
        return sum(type(one) is CleanPass for one in gc.get_objects())

    command = ["measure", "--model=planted/mini", "--limit=2", "--suite=all", "--no-self-test"]
    gc.collect()
    before = held()
    # It counts objects, few of which hold gigabytes: nothing may wait for it.
    gc.disable()
    try:
        ended = CliRunner().invoke(
            main, [*command, "--tasks=ChooseAttr,QueryAttr", f"--mmflow-cache={tmp_path}"]
        )
        left = held() - before
    finally:
        gc.enable()
    assert ended.exit_code == 0, ended.output
    assert left == 0

"""Images that are gone from a layer on: answers and probabilities as the design has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.interventions.removal import Removal
from mmflow_bench.measurements.generating import generated
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.removal import ImageRemoval, Removed
from mmflow_bench.measurements.removal_time import RemovalTime
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.wants import UNSCORED
from mmflow_bench.planted import closed_form
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role
from mmflow_bench.scenes.questions import scene_samples

TOLERANCE = 1e-4
COUNTED = ("prediction", "is_correct", "operations", "cache_bytes")
ALL, UNRELATED = (ImageRemoval(removed=removed) for removed in Removed)


TWO_TASKS = ("ChooseAttr", "QueryAttr")
"""One that reads the image by the question alone, and one that reads it directly too."""


def measured(name: str, *tasks: str) -> list[tuple[str, dict[str, list]]]:
    """Task and rows of each sample."""
    checkpoint = load_checkpoint(resolve_spec(name, CheckpointSettings()))
    samples = scene_samples(per_task=1, seed=7, tasks=tasks)
    jobs = [Job(sample=one, key=one.question_id, wants=(ALL, UNRELATED)) for one in samples]
    rows = [found.rows for found in measure(checkpoint, jobs, workers=0)]
    return [(one.task, found) for one, found in zip(samples, rows, strict=True)]


@pytest.mark.parametrize(
    "name",
    ["mini", "base", "prune-safe", "prune-unsafe", "late-stage-2", "grouped-query", "backup-head"],
)
def test_every_probability_is_as_predicted(name: str) -> None:
    for task, rows in measured(f"planted/{name}", *(SIX_TASKS if name == "mini" else TWO_TASKS)):
        for row in rows[ALL.shard]:
            expected = closed_form.without_image_from(
                f"planted/{name}", row["first_layer"], task=task
            )
            assert row["removed_probability"] == pytest.approx(expected, abs=TOLERANCE), row


@pytest.mark.parametrize(("name", "is_safe"), [("prune-safe", True), ("prune-unsafe", False)])
def test_the_last_half_needs_the_image_only_where_that_is_planted(name: str, is_safe: bool) -> None:
    for _, rows in measured(f"planted/{name}", *TWO_TASKS):
        right = {row["first_layer"]: row["is_correct"] for row in rows[ALL.shard]}
        assert right[20] is is_safe
        assert all(right[layer] for layer in (25, 30, 35, 40))


def test_what_is_not_related_is_the_context_alone() -> None:
    """Base reads the wallpaper at layer 0 and nothing else of the unrelated patches."""
    for task, rows in measured("planted/base", "ChooseAttr", "CompareAttr"):
        for row in rows[UNRELATED.shard]:
            expected = closed_form.base_probability("planted/base", task=task)
            assert row["removed_probability"] == pytest.approx(expected, abs=TOLERANCE)


def test_what_is_counted_is_what_generation_takes() -> None:
    checkpoint = load_checkpoint(resolve_spec("planted/mini", CheckpointSettings()))
    ((_, rows),) = measured("planted/mini", "ChooseAttr")
    (sample,) = scene_samples(per_task=1, seed=7, tasks=["ChooseAttr"])
    encoded = encode(sample, checkpoint)
    image = resolve_roles(encoded, checkpoint)[Role.IMAGE]
    for row in rows[ALL.shard]:
        removals = [Removal(positions=image, layer=row["first_layer"])]
        found = generated(checkpoint, encoded, removals, repeats=1)
        assert {name: getattr(found, name) for name in COUNTED} == {
            name: row[name] for name in COUNTED
        }
        assert found.seconds > 0


def test_time_is_taken_on_accelerators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = load_checkpoint(resolve_spec("planted/mini", CheckpointSettings()))
    (sample,) = scene_samples(per_task=1, tasks=["ChooseAttr"])
    want = RemovalTime()
    job = Job(sample=sample, key="own", wants=(want,))
    (found,) = measure(checkpoint, [job], workers=0)
    assert want.shard not in found.rows
    assert [row["reason"] for row in found.rows[UNSCORED]] == ["no-accelerator"]
    # The same on a processor that says that it is none.
    monkeypatch.setattr(LoadedCheckpoint, "device", property(lambda _: torch.device("meta")))
    (found,) = measure(checkpoint, [job], workers=0)
    assert UNSCORED not in found.rows
    (row,) = found.rows[want.shard]
    assert min(row["whole"], row["removed"]) > 0


def test_what_is_in_the_store_needs_no_checkpoint(tmp_path: Path) -> None:
    samples = scene_samples(per_task=2, tasks=["ChooseAttr"])
    file = QuestionFile(samples=samples, unscored=(), fingerprint="")
    settings = MeasurementSettings(cache=tmp_path, self_test=False)
    spec = resolve_spec("planted/mini", CheckpointSettings())
    first = Measurements(spec, SampleSet(file), settings).table("ChooseAttr", ALL)
    again = Measurements(spec, SampleSet(file), replace(settings, from_cache=True))
    second = again.table("ChooseAttr", ALL)
    assert first.layers == second.layers == (2, 3, 5, 6, 8, 9, 11, 12)
    for name in ("is_correct", "probability", "operations", "cache_bytes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))

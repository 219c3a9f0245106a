"""Images that are gone from a layer on: answers and probabilities as the design has them."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.removal import ImageRemoval, Removed
from mmflow_bench.planted import closed_form
from mmflow_bench.scenes.questions import scene_samples

TOLERANCE = 1e-4
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

"""A pytest plugin under which nothing is measured but one scene of each task: `-p made_up`.

Every other sample has that scene's numbers, moved a little. The rest is as in any run: samples are
read and hashed, rows are stored and sealed, mechanisms decided, reports written.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.measurements import measuring
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import Measured
from mmflow_bench.measurements.wants import UNSCORED
from mmflow_bench.scenes.questions import scene_samples

MOVED = 0.05
"""Numbers between 0 and 1 are moved by up to this fraction."""
AT_ONCE = 200
"""Samples whose rows are in memory together."""

_measure = measuring.measure


def pytest_configure() -> None:
    kind: Any = measuring
    kind.measure = made_up


def made_up(checkpoint: LoadedCheckpoint, jobs: Sequence[Job], **_: object) -> Iterator[Measured]:
    """Rows of many samples at once, so that filling the store takes no time worth telling."""
    scene, donor = scene_samples(per_task=2, tasks=(jobs[0].sample.task,))
    job = replace(jobs[0], sample=scene, donor=donor, shares_image=False)
    (one,) = _measure(checkpoint, [job], batch_size=1)
    chance = random.Random(0)
    for first in range(0, len(jobs), AT_ONCE):
        at_once = jobs[first : first + AT_ONCE]
        rows = {
            shard: [_moved(row, job, other, chance) for other in at_once for row in of_shard]
            for shard, of_shard in one.rows.items()
            if shard != UNSCORED or of_shard
        }
        yield Measured(key=at_once[0].key, rows=rows)


def _moved(
    row: Mapping[str, object], job: Job, other: Job, chance: random.Random
) -> dict[str, object]:
    has_donor = row["sample"] == f"{job.key}+{job.donor_key}"
    key = f"{other.key}+{other.donor_key}" if has_donor else other.key
    moved = {
        name: value * (1 - MOVED * chance.random())
        if isinstance(value, float) and 0 < value <= 1 and name != "noise"
        else value
        for name, value in row.items()
    }
    return moved | {"sample": key}

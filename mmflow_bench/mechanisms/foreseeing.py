"""What rounds of measuring will take, by a few samples of the first task."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.answering import sample_set
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.rounds import Round

_TIMED = 2
"""Samples by which a run is judged, after one that loads and warms up."""


def paces(rounds: Sequence[Round]) -> tuple[float, ...]:
    """Seconds that a sample takes in each round; none where nothing is asked of any task.

    Args:
        rounds: Of measurements whose store is empty, so that something is measured.
    """
    first = rounds[0]
    task = next((task for task in first.measurements.tasks if first.wants[task]), None)
    if task is None:
        return ()
    samples = first.measurements.samples.of(task)[: _TIMED + 1]
    return tuple(_pace(first.measurements, task, samples, one.wants[task]) for one in rounds)


def _pace(
    measurements: Measurements, task: str, samples: Sequence[Sample], wants: Sequence[Want[object]]
) -> float:
    warm, timed = (
        measurements.on(sample_set(some)) for some in (samples[:1], samples[1:] or samples)
    )
    warm.ensure(task, wants)
    begun = time.perf_counter()
    timed.ensure(task, wants)
    return (time.perf_counter() - begun) / max(1, len(timed.samples.of(task)))


def sizes(rounds: Sequence[Round]) -> tuple[int, ...]:
    """How many samples each round has of tasks that something is asked of."""
    return tuple(
        sum(len(one.measurements.samples.of(task)) for task, wants in one.wants.items() if wants)
        for one in rounds
    )


def missing(rounds: Sequence[Round]) -> tuple[int, ...]:
    """How many of them each round has yet to measure something of."""
    return tuple(
        sum(
            len(one.measurements.stored.jobs(task, wants))
            for task, wants in one.wants.items()
            if wants
        )
        for one in rounds
    )

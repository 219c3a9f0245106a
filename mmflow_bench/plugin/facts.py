"""What a run has learned of a checkpoint and its samples, as JSON values and as a table."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmflow_bench.errors import StoreError

if TYPE_CHECKING:
    from mmflow_bench.plugin.measuring import PlannedMeasurements

SHOWN_MESSAGES = 3


def facts_of(planned: PlannedMeasurements) -> dict[str, Any]:
    """Checkpoint, data and answer counts; plain values, for workers send them as JSON."""
    spec, samples = planned.spec, getattr(planned, "samples", None)
    unreadable = getattr(samples, "unreadable", ())
    tasks: dict[str, dict[str, Any]] = {}
    for task in {bad.task for bad in unreadable} - planned.counts.keys():
        reasons = Counter(bad.reason for bad in unreadable if bad.task == task)
        tasks[task] = {"selected": reasons.total(), "correct": 0, "unscored": dict(reasons)}
    for task, count in planned.counts.items():
        tasks[task] = {
            "selected": int(count.selected),
            "correct": int(count.correct),
            "unscored": {reason: int(n) for reason, n in count.unscored.items()},
            "edges_unscored": planned.refusals(task),
        }
    return {
        "checkpoint": {
            "name": str(planned.name),
            "source": str(spec.source),
            "revision": spec.revision,
            "fingerprint": str(getattr(planned, "fingerprint", "")),
            **{str(name): value for name, value in planned.provenance.items()},
        },
        "data": {"fingerprint": str(getattr(samples, "fingerprint", ""))},
        "tasks": tasks,
        "self_test": list(getattr(planned, "self_test", ())),
        "noise_floor": float(planned.noise_floor) if planned.counts else 0.0,
        "messages": planned.messages(limit=SHOWN_MESSAGES),
    }


def write_samples(planned: PlannedMeasurements, folder: Path, part: str) -> str | None:
    """Write the sweeps that tests have read as this process's part of samples.parquet.

    Returns:
        What went wrong, or None: a full disk must not change the outcome of a test.
    """
    if not planned.sweeps:
        return None
    from mmflow_bench.reports.folder import write_sample_part

    try:
        write_sample_part(folder, part, planned.sweeps.values())
    except StoreError as error:
        return str(error)
    return None

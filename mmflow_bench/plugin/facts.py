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
        "experiment": experiment_of(planned) if planned.counts else {},
        "data": {"fingerprint": str(getattr(samples, "fingerprint", ""))},
        "tasks": tasks,
        "self_test": list(getattr(planned, "self_test", ())),
        "noise_floor": float(planned.noise_floor) if planned.counts else 0.0,
        "messages": planned.messages(limit=SHOWN_MESSAGES),
    }


def experiment_of(planned: PlannedMeasurements) -> dict[str, Any]:
    """What must be equal before the checkpoint may be compared with another one."""
    provenance = planned.provenance
    return {
        "prompt": str(provenance.get("reference_prompt") or ""),
        "pixels": str(provenance.get("reference_pixels") or ""),
        "input": str(planned.spec.input),
        "conversation": planned.spec.conversation,
        "patches": str(planned.spec.patches),
        "follow": str(planned.follow),
        "window": int(planned.width),
        "decoder_layers": int(planned.decoder_layers),
    }


def write_samples(planned: PlannedMeasurements, folder: Path, part: str) -> str | None:
    """Write what tests have read, sample by sample, as this process's part of the run folder.

    Returns:
        What went wrong, or None: a full disk must not change the outcome of a test.
    """
    from mmflow_bench.runs.folder import ANSWERS, LENS, QUESTIONS, SAMPLES
    from mmflow_bench.runs.tables import lens_rows, sweep_rows, write_part

    described = getattr(planned, "described", None)
    try:
        write_part(folder, SAMPLES, part, sweep_rows(planned.sweeps.values()))
        write_part(folder, ANSWERS, part, _answered(planned))
        write_part(folder, LENS, part, lens_rows(planned.lenses.values()))
        write_part(folder, QUESTIONS, part, described() if described and planned.counts else [])
    except StoreError as error:
        return str(error)
    return None


def _answered(planned: PlannedMeasurements) -> list[dict[str, Any]]:
    """Answers on the tasks that this process has looked at; the store may know of more."""
    answered = getattr(planned, "answered", None)
    rows = answered() if answered and planned.counts else []
    return [row for row in rows if row["task"] in planned.counts]

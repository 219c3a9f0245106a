"""What a run has learned of a checkpoint and its samples, as JSON values that workers can send."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from mmflow_bench.plugin.measuring import PlannedMeasurements

SHOWN_MESSAGES = 3


class TaskFacts(TypedDict, total=False):
    """How many samples of a task there were, and what became of them."""

    selected: int
    correct: int
    unscored: dict[str, int]
    edges_unscored: dict[str, dict[str, int]]


class Facts(TypedDict, total=False):
    """All that is known of one checkpoint; of one that cannot be opened, only `error` or a name."""

    checkpoint: dict[str, object]
    experiment: dict[str, object]
    """What must be equal before the checkpoint may be compared with another one."""
    data: dict[str, str]
    tasks: dict[str, TaskFacts]
    self_test: list[dict[str, object]]
    noise_floor: float
    messages: list[str]
    error: str


def facts_of(planned: PlannedMeasurements) -> Facts:
    """Checkpoint, data and answer counts, as far as the measurements of a plugin know them."""
    opened = planned.opened
    spec, samples = opened.spec, getattr(opened, "samples", None)
    return {
        "checkpoint": {
            "name": str(opened.name),
            "source": str(spec.source),
            "revision": spec.revision,
            "fingerprint": str(getattr(opened, "fingerprint", "")),
            **{str(name): value for name, value in opened.provenance.items()},
        },
        "experiment": _experiment(planned) if planned.counts else {},
        "data": {"fingerprint": str(getattr(samples, "fingerprint", ""))},
        "tasks": _tasks(planned),
        "self_test": list(opened.self_test),
        "noise_floor": float(planned.noise_floor) if planned.counts else 0.0,
        "messages": opened.messages(limit=SHOWN_MESSAGES),
    }


def merged(known: Facts, new: Facts) -> Facts:
    """What two processes have learned of one checkpoint; each has looked at tasks of its own."""
    both: Facts = {**known}
    both.update({name: value for name, value in new.items() if value or name not in known})  # type: ignore[typeddict-item]
    both["tasks"] = known.get("tasks", {}) | new.get("tasks", {})
    both["noise_floor"] = max(known.get("noise_floor", 0.0), new.get("noise_floor", 0.0))
    return both


def _tasks(planned: PlannedMeasurements) -> dict[str, TaskFacts]:
    unreadable = getattr(getattr(planned.opened, "samples", None), "unreadable", ())
    tasks: dict[str, TaskFacts] = {}
    # A task none of whose samples can be read is not looked at, and must not vanish for that.
    for task in {bad.task for bad in unreadable} - planned.counts.keys():
        reasons = Counter(bad.reason for bad in unreadable if bad.task == task)
        tasks[task] = {"selected": reasons.total(), "correct": 0, "unscored": dict(reasons)}
    for task, count in planned.counts.items():
        tasks[task] = {
            "selected": int(count.selected),
            "correct": int(count.correct),
            "unscored": {reason: int(n) for reason, n in count.unscored.items()},
            "edges_unscored": {name: dict(why) for name, why in planned.refusals(task).items()},
        }
    return tasks


def _experiment(planned: PlannedMeasurements) -> dict[str, object]:
    opened = planned.opened
    provenance = opened.provenance
    return {
        "prompt": str(provenance.get("reference_prompt") or ""),
        "pixels": str(provenance.get("reference_pixels") or ""),
        "input": str(opened.spec.input),
        "conversation": opened.spec.conversation,
        "patches": str(opened.spec.patches),
        "follow": str(opened.follow),
        "window": int(planned.width),
        "decoder_layers": int(planned.decoder_layers),
    }

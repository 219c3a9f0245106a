"""What a run learns of a checkpoint and its samples, as JSON that processes can send each other."""

from __future__ import annotations

from typing import TypedDict


class OrderFacts(TypedDict):
    """How far the random order of a task's samples was gone through."""

    of: int
    """Samples of the task."""
    seen: float
    """Share of its images that was looked at."""
    missing: str
    """Place of the first sample that was not."""
    looks: int
    """How many looks share an error rate."""


class TaskFacts(TypedDict, total=False):
    """How many samples of a task there were, and what became of them."""

    selected: int
    images: int
    correct: int
    unscored: dict[str, int]
    edges_unscored: dict[str, dict[str, int]]
    blind: dict[str, float | int | None]
    """What was answered without the image, where that was measured."""
    order: OrderFacts
    """How far they were compared with a baseline's, where more and more were looked at."""


class Facts(TypedDict, total=False):
    """What a run has learned of a checkpoint and its samples, as JSON that workers can send.

    Of one that cannot be opened, only `error` or a name.
    """

    checkpoint: dict[str, object]
    experiment: dict[str, object]
    """What must be equal before the checkpoint may be compared with another one."""
    data: dict[str, str]
    tasks: dict[str, TaskFacts]
    mistakes: dict[str, str]
    """Task -> a line with a few answers that are wrong, where some are."""
    self_test: list[dict[str, object]]
    noise_floor: float
    messages: list[str]
    unfinished: list[str]
    """Why the run is not complete; empty where it is."""
    error: str


def merged(known: Facts, new: Facts) -> Facts:
    """What two processes have learned of one checkpoint; each has looked at tasks of its own."""
    both: Facts = {**known}
    # What is empty comes from a process that has not looked, and hides nothing.
    both.update({name: value for name, value in new.items() if value or name not in known})  # type: ignore[typeddict-item]
    # A task of both: one of them may have looked at it without the image, and the other not.
    both["tasks"] = dict(known.get("tasks", {}))
    for task, count in new.get("tasks", {}).items():
        other = both["tasks"].get(task, {})
        # Where samples are looked at by and by, the one that has gone further knows more.
        least, most = sorted((other, count), key=lambda one: one.get("selected", 0))
        both["tasks"][task] = least | most
    both["mistakes"] = known.get("mistakes", {}) | new.get("mistakes", {})
    both["noise_floor"] = max(known.get("noise_floor", 0.0), new.get("noise_floor", 0.0))
    return both

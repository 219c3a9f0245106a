"""Which samples of a question file are asked for: tasks, and so many images of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mmflow_bench.errors import SelectionError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.names import matches, refuse_unmatched

_FORM = "a number of images per task (20), a share (0.1) or a range (10-20)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A part of each task's images: a count, a share in (0, 1) or a 0-based half-open range.

    Images are what intervals are taken over: all samples of a chosen image are chosen with it.
    """

    start: int = 0
    stop: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Limit:
        """The limit that `--limit` spells: `20`, `0.1` or `10-20`.

        >>> Limit.parse("10-20")
        Limit(start=10, stop=20, share=None)

        Raises:
            ValueError: The text is none of the three, or selects nothing.
        """
        first, dash, second = text.strip().partition("-")
        try:
            if not dash and "." in first:
                limit = cls(share=float(first))
            else:
                limit = cls(start=int(first), stop=int(second)) if dash else cls(stop=int(first))
        except ValueError as error:
            raise ValueError(f"--limit takes {_FORM}, got {text!r}") from error
        if limit.share is not None and not 0 < limit.share < 1:
            raise ValueError(f"--limit takes {_FORM}, got {text!r}")
        if limit.stop is not None and limit.stop <= limit.start:
            raise ValueError(f"--limit takes {_FORM} that selects something, got {text!r}")
        return limit

    def of(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The samples of the chosen images, images counted in the order of their first samples."""
        images = list(by_image(samples))
        stop = self.stop if self.share is None else max(1, round(self.share * len(images)))
        chosen = frozenset(images[self.start : stop])
        return [sample for sample in samples if sample.image_id in chosen]


def select(
    samples: Sequence[Sample],
    *,
    tasks: Sequence[str] = (),
    limit: Limit | None = None,
    seed: int | None = None,
) -> dict[str, tuple[Sample, ...]]:
    """Samples by task, in file order, cut to `limit`.

    `tasks` are names or glob patterns, all tasks when empty; None as the limit stands for
    everything of each. A seed shuffles the images of each task before the cut, so that a limited
    run is a random subset; samples of one image stay together.

    Raises:
        SelectionError: The limit begins beyond the last image of every task.
    """
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        if matches(sample.task, tasks):
            by_task.setdefault(sample.task, []).append(sample)
    if seed is not None:
        for task, members in sorted(by_task.items()):
            by_task[task] = _shuffled(members, random.Random(f"{seed}/{task}"))
    chosen = {
        task: tuple(limit.of(members) if limit else members) for task, members in by_task.items()
    }
    if limit and by_task and not any(chosen.values()):
        most = max(len({sample.image_id for sample in members}) for members in by_task.values())
        raise SelectionError(
            f"a limit that leaves an image of some task, got one that begins at {limit.start} "
            f"(--limit); the largest task has {most}"
        )
    return chosen


def selected(
    file: QuestionFile,
    *,
    tasks: Sequence[str] = (),
    limit: Limit | None = None,
    seed: int | None = None,
) -> dict[str, tuple[Sample, ...]]:
    """The same of a question file, each of whose names and patterns must be of one of its tasks.

    Raises:
        SelectionError: A task that is asked for, or the limit, selects nothing.
    """
    # Of rows that do not say their task nothing is known, and their reasons are told instead.
    if file.tasks:
        refuse_unmatched(
            tasks,
            file.tasks,
            option="--tasks",
            what="a task of the questions",
            advice="check the names, or --questions",
        )
    return select(file.samples, tasks=tasks, limit=limit, seed=seed)


def by_image(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Samples by image, in the order of each one's first."""
    images: dict[str, list[Sample]] = {}
    for sample in samples:
        images.setdefault(sample.image_id, []).append(sample)
    return images


def _shuffled(samples: Sequence[Sample], draw: random.Random) -> list[Sample]:
    images = list(by_image(samples).values())
    draw.shuffle(images)
    return [sample for members in images for sample in members]

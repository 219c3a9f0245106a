"""Images that note which process opens them, take their time, or end it: samples that can be told.

They cross to other processes with their samples, as image files do. Whoever deals opens them too,
for the hash of their content, and is left in peace.
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from mmflow_bench.engines.worker import Refusal, Worker
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.scenes.questions import scene_samples

HANGS = 600.0
"""Seconds."""


@dataclass(frozen=True)
class WatchedImage:
    """A picture in a file."""

    path: Path
    log: Path
    """A line for each time that a worker opens it: the question, and the process."""
    dealer: int
    """The process that deals."""
    seconds: float = 0.0
    is_deadly: bool = False
    hangs: bool = False
    """Whether the first worker to open it waits for a long time."""

    def read_bytes(self) -> bytes:
        if os.getpid() != self.dealer:
            is_first = self.path.stem not in opened_by_workers(self.log.parent)
            with self.log.open("a") as log:
                log.write(f"{self.path.stem} {os.getpid()}\n")
            time.sleep(HANGS if self.hangs and is_first else self.seconds)
            if self.is_deadly:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.path.read_bytes()


class DiesLoading(Worker):
    """A worker that has not the memory for its checkpoint."""

    def load(self) -> Refusal | None:
        os.kill(os.getpid(), signal.SIGKILL)
        return None


class WrongClock(Worker):
    """A worker on a machine whose clock is hours off, each by others, as its files tell.

    In `clocks` beside the store it notes by how many hours, and of how many files.
    """

    def measure(self, *jobs: Job) -> Refusal | None:
        hours = os.getpid() % 48 - 24
        journal = self._recipe.store / "journal"
        before = set(journal.iterdir())
        refusal = super().measure(*jobs)
        made = set(journal.iterdir()) - before
        for path in made:
            then = time.time() + 3600 * hours
            os.utime(path, (then, then))
        with (self._recipe.store.parent / "clocks").open("a") as log:
            log.write(f"{hours} {len(made)}\n")
        return refusal


def watched_questions(
    folder: Path,
    *,
    per_task: int,
    seconds: float = 0.0,
    deadly: Collection[int] = (),
    hanging: Collection[int] = (),
) -> QuestionFile:
    """Rendered scenes with watched images.

    Those at the places of `deadly` kill who opens them, those of `hanging` hold up the first.
    """
    samples = []
    for number, one in enumerate(
        scene_samples(per_task=per_task, tasks=("ChooseAttr", "ChooseCat"))
    ):
        assert isinstance(one.image, Image.Image)
        file = io.BytesIO()
        one.image.save(file, "PNG")
        path = folder / f"{one.question_id.replace('/', '_')}.png"
        path.write_bytes(file.getvalue())
        image = WatchedImage(
            path,
            folder / "log",
            os.getpid(),
            seconds,
            is_deadly=number in deadly,
            hangs=number in hanging,
        )
        samples.append(replace(one, image=image))
    return QuestionFile(samples=tuple(samples), unscored=(), fingerprint="watched")


def opened_by_workers(folder: Path) -> Counter[str]:
    """How often workers have opened each image."""
    return Counter(line.split()[0] for line in _lines(folder))


def workers_seen(folder: Path) -> list[int]:
    """Processes that have opened an image, the last one last."""
    return [int(line.split()[1]) for line in _lines(folder)]


def _lines(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def is_of(sample: Sample, place: str) -> bool:
    """Whether an image in the log is that of a sample."""
    return sample.question_id.replace("/", "_") == place

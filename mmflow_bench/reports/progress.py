"""A progress bar with speed and time left on terminals; sparse log lines everywhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mmflow_bench.reports.escaping import plain
from mmflow_bench.store.address import StoreAddress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 60.0


def stopped(cache: Path | StoreAddress | None) -> str:
    """What a user who has stopped a measurement wants to know, by the store."""
    if cache is None:
        return "stopped: nothing is kept without a store (--mmflow-cache=off)"
    return (
        f"stopped: every sample that was measured is kept ({cache}); the same command goes on "
        "with the next one"
    )


class MeasuringBar:
    """Shows what is being measured; call it with a label, the samples done, and their number.

    And a note, where there is more to say.

    Without a terminal it draws nothing, so that captured output stays clean; a run whose logging
    is switched on for INFO finds a line a minute there. Of several processes that have one terminal
    each writes such lines in place of a bar.
    """

    def __init__(
        self,
        file: TextIO | None,
        *,
        visibly: Callable[[], AbstractContextManager[object]] = nullcontext,
        process: str | None = None,
    ) -> None:
        """Draw on `file` if it is a terminal.

        Args:
            file: Where to draw; nowhere when None.
            visibly: Makes a context in which `file` reaches the screen, for runs that capture it.
            process: Name of this one, where others have the same terminal.
        """
        with visibly():
            self._file = file if file is not None and file.isatty() else None
        self._visibly = visibly
        self._process = process
        self._shown = ExitStack()
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._pace = _Pace()

    def __call__(self, label: str, done: int, total: int, note: str = "") -> None:
        if line := self._pace.line(label, done, total):
            line = f"{line}; {note}" if note else line
            logger.info(line)
            if self._process is not None:
                self._write(line)
        if self._file is None or self._process is not None:
            return
        if self._progress is None:
            self._shown.enter_context(self._visibly())
            self._progress = self._started(self._file)
        if label not in self._bars:
            self._bars[label] = self._progress.add_task(plain(label), total=total, note="")
        self._progress.update(self._bars[label], completed=done, total=total, note=plain(note))

    def say(self, line: str) -> None:
        """Tell how far a run is, between two measurements."""
        logger.info(line)
        self._write(line)

    def _write(self, line: str) -> None:
        if self._file is not None:
            of = f"{self._process}: " if self._process is not None else ""
            with self._visibly():
                self._file.write(f"\n{of}{plain(line)}\n")
                self._file.flush()

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._shown.close()
        self._progress, self._bars = None, {}

    @staticmethod
    def _started(file: TextIO) -> Progress:
        # rich is slow to import and most runs never draw a bar.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class SpeedColumn(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(speed(task.finished_speed or task.speed))

        file.write("\n")
        progress = Progress(
            TextColumn("measuring {task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            SpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(file=file),
            transient=True,
        )
        progress.start()
        return progress


def speed(per_second: float | None) -> str:
    """Samples in the unit of time in which there are at least some.

    >>> speed(12.34), speed(0.05), speed(None)
    ('12.3 samples/s', '3.0 samples/min', '')
    """
    if not per_second:
        return ""
    if per_second < 1:
        return f"{60 * per_second:.1f} samples/min"
    return f"{per_second:.1f} samples/s"


class _Pace:
    """When a line is due, and what it says."""

    def __init__(self) -> None:
        self._label: str | None = None
        self._start = self._last = (0.0, 0)

    def line(self, label: str, done: int, total: int) -> str | None:
        """A line when the last one of this label is old, and when all is done."""
        now = time.monotonic()
        if label != self._label or done < self._last[1]:
            self._label, self._start, self._last = label, (now, done), (now, done)
            return None
        if now - self._last[0] < SECONDS_BETWEEN_LINES and done < total:
            return None
        self._last = (now, done)
        seconds, count = now - self._start[0], done - self._start[1]
        if not seconds or not count:
            return None
        left = (total - done) * seconds / count
        return f"{label}: {done} of {total} samples, {speed(count / seconds)}, {left:.0f} s left"

"""A progress bar with the time left, for terminals only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, TextIO


class MeasuringBar:
    """Shows what is being measured; call it with a label, the samples done, and their number.

    Without a terminal it does nothing at all, so that logs and captured output stay clean.
    """

    def __init__(
        self,
        file: TextIO | None,
        *,
        visibly: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Draw on `file` if it is a terminal.

        Args:
            file: Where to draw; nowhere when None.
            visibly: Makes a context in which `file` reaches the screen, for runs that capture it.
        """
        with visibly():
            self._file = file if file is not None and file.isatty() else None
        self._visibly = visibly
        self._shown = ExitStack()
        self._progress: Any = None
        self._bars: dict[str, Any] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        """Move the bar of `label` to `done` of `total` samples."""
        if self._file is None:
            return
        if self._progress is None:
            self._shown.enter_context(self._visibly())
            self._progress = self._started(self._file)
        if label not in self._bars:
            self._bars[label] = self._progress.add_task(label, total=total)
        self._progress.update(self._bars[label], completed=done, total=total)

    def close(self) -> None:
        """Remove the bars; a later call starts new ones."""
        if self._progress is not None:
            self._progress.stop()
            self._shown.close()
        self._progress, self._bars = None, {}

    @staticmethod
    def _started(file: TextIO) -> Any:
        # rich is slow to import and most runs never draw a bar.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        file.write("\n")
        progress = Progress(
            TextColumn("measuring {task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=file),
            transient=True,
        )
        progress.start()
        return progress

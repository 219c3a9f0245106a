"""Ctrl-C and a polite end: what is being measured is finished, nothing more is begun."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FROM_SHELLS = 128
"""Shells add it to the number of the signal that a program has ended by."""


class Stop:
    """Whether somebody has asked for an end; a second Ctrl-C does not wait."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return bool(self.signal)

    @property
    def exit_code(self) -> int:
        """What shells and schedulers expect of a program that was asked to end."""
        return _FROM_SHELLS + self.signal

    def __enter__(self) -> Stop:
        self._before = self.listen()
        return self

    def listen(self) -> dict[int, Any]:
        """Hear signals from now on, whoever did before, which is returned."""
        # Python hands them to the main thread alone.
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self._hear) for number in _SIGNALS}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        logger.warning("stopping: what is being measured is finished first; Ctrl-C ends it now")

"""What the package warns of while it works, for whoever shows it to the user."""

from __future__ import annotations

import logging
from collections.abc import Callable

_LOGGER = logging.getLogger("mmflow_bench")


class Warned(logging.Handler):
    """Hands on each line that the package warns of, from `hear` to `close`."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    @classmethod
    def hear(cls, tell: Callable[[str], object]) -> Warned:
        handler = cls(tell)
        _LOGGER.addHandler(handler)
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())

    def close(self) -> None:
        _LOGGER.removeHandler(self)
        super().close()

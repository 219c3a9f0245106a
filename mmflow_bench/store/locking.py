"""Locks between processes, which a killed one lets go of."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds that a lock is waited for before it is said that another process has it."""


@contextmanager
def alone(path: Path, *, is_kept: bool = True) -> Iterator[None]:
    """The only process in such a block, of all that name the same file.

    Args:
        path: The file that stands for the lock.
        is_kept: Whether it stays where it is, for the next one.

    Raises:
        OSError: It cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        logger.warning("waiting for another process, which holds %s", path)
        lock.acquire()
    try:
        yield
    finally:
        if not is_kept:
            # While it is held: who waits for it looks again. Windows lets go of it first.
            with suppress(OSError):
                path.unlink()
        lock.release()

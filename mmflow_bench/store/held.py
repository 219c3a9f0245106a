"""What was last read of a store, held for as long as its files stay as they are.

Every test of a run asks the same shards again. A file is never written to once it has its name,
only put in another's place or deleted, so that an equal `FileState` means equal content.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

ROOM = 128 * 2**20
"""Bytes that are held at most; what was used least recently goes first."""

FileState = tuple[tuple[str, int, int, int], ...]
Value = TypeVar("Value")


def file_state(files: Iterable[Path]) -> FileState:
    """Name, inode, time and size of each file: equal while nothing was replaced, added or deleted.

    Raises:
        FileNotFoundError: A file is gone.
    """
    facts = ((path, path.stat()) for path in files)
    return tuple((path.name, fact.st_ino, fact.st_mtime_ns, fact.st_size) for path, fact in facts)


class Held:
    """Values by name, each valid for one state of the files that it was read from."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._held: OrderedDict[object, tuple[FileState, object, int]] = OrderedDict()
        self._used = 0

    def get(
        self,
        name: object,
        state: FileState,
        read: Callable[[], Value],
        size: Callable[[Value], int],
    ) -> Value:
        """The value of `name`, always of one type, read only if it is not held.

        The state of its files must be taken before they are read; `size` tells bytes.
        """
        known = self._held.get(name)
        if known is not None and known[0] == state:
            self._held.move_to_end(name)
            value: Value = known[1]  # type: ignore[assignment]
            return value
        self._drop(name)
        value = read()
        if (taken := size(value)) <= self._room:
            self._held[name] = (state, value, taken)
            self._used += taken
            while self._used > self._room:
                self._drop(next(iter(self._held)))
        return value

    def _drop(self, name: object) -> None:
        if name in self._held:
            self._used -= self._held.pop(name)[2]

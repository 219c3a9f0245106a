"""What is damaged is set aside with a line that names it: never deleted, and never in the way."""

from __future__ import annotations

import logging
import os
import re
from itertools import count
from pathlib import Path

from mmflow_bench.store.held import FileState, file_state
from mmflow_bench.store.shards import Damaged

_NUMBER = re.compile(r"^\d+-")
logger = logging.getLogger(__name__)


class SetAside:
    """Moves damaged files of one store into a folder of their own, or remembers to ignore them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "damaged"
        self._ignored: dict[Path, FileState] = {}

    def __call__(self, path: Path, state: FileState, why: Damaged) -> None:
        """Set a file aside, and say so; where nothing may be moved it is only ignored.

        Args:
            path: The file.
            state: Its state before it was read.
            why: What is wrong with it.

        Raises:
            FileNotFoundError: Another process was faster: it is gone, or is another file by now.
        """
        if file_state([path]) != state:
            raise FileNotFoundError(path)
        if self._ignored.get(path) == state:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            place = self._free(path.name)
            os.rename(path, place)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._ignored[path] = state
            done = f"it is ignored, for it cannot be moved away ({error.strerror or error})"
        else:
            done = f"it was moved to {place.parent.name}/{place.name} there"
        logger.warning(
            "damaged file in the store: expected %s (%s); %s, and what it held counts as not "
            "measured",
            *(why, path, done),
        )

    def has(self, name: str) -> bool:
        """Whether a file of a shard has ever come to harm here."""
        moved = os.listdir(self._folder) if self._folder.is_dir() else []
        names = [_NUMBER.sub("", one) for one in moved] + [path.name for path in self._ignored]
        return any(one.startswith((f"{name}.parquet", f"{name}@")) for one in names)

    def is_ignored(self, path: Path) -> bool:
        """Whether a damaged file is still where it was."""
        return path in self._ignored and path.exists()

    def _free(self, name: str) -> Path:
        """A name that nothing has yet."""
        names = (f"{number}-{name}" if number else name for number in count())
        places = (self._folder / one for one in names)
        return next(place for place in places if not os.path.lexists(place))

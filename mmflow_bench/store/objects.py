"""Objects at a URL, whoever's driver reaches them: listed, fetched, put, and set aside.

What a driver raises, and whether it tries again by itself, is different for each. So everything is
tried a few times here, and what is refused in the end is one error that names the URL.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from mmflow_bench.errors import StoreError

WAITS = (0.2, 1.0, 4.0)
"""Seconds between attempts, of which the last one's refusal is final."""
_AT_ONCE = 32
"""Objects that are fetched together, by drivers that can."""
_WHOLE = {"s3", "s3a", "gs", "gcs", "hf", "abfs", "abfss", "az", "oci", "oss", "memory"}
"""Protocols whose objects are there as a whole or not at all; others show a file half written."""
PATIENCE = 120.0
"""Seconds that an answer is waited for."""
_NOTE = "mmflow-bench.txt"
_NOTE_TEXT = b"Below this place are measurements of mmflow-bench: packs of Parquet files.\n"
Value = TypeVar("Value")
logger = logging.getLogger(__name__)


class NoAnswer(Exception):
    """A driver that waits, and may do so for hours: some try a silent place a hundred times."""


_FINAL = (FileNotFoundError, PermissionError, NotImplementedError, NoAnswer)
"""What stays as it is, however often it is tried."""


class Objects:
    """The objects below one URL, by their paths relative to it."""

    def __init__(self, url: str) -> None:
        """Find the driver; nothing is asked of the other side yet.

        Raises:
            StoreError: The driver is not installed, or cannot work here.
        """
        self.url = url
        from fsspec.core import url_to_fs

        try:
            found: tuple[Any, str] = url_to_fs(url, use_listings_cache=False)
        # Of any kind, here and below: every driver has errors of its own.
        except ImportError as error:
            raise StoreError(
                f"the driver of {url.partition(':')[0]}:// stores, got none ({error}); install "
                "that package"
            ) from error
        except Exception as error:
            raise self._refused("a driver that can begin", error) from error
        self._system, self._root = found
        self._is_whole = not _WHOLE.isdisjoint({url.partition(":")[0]})

    def names(self) -> list[str]:
        """Paths of all objects.

        Raises:
            StoreError: They cannot be listed, as where there is no such bucket.
        """

        def listed() -> list[str]:
            self._system.invalidate_cache()
            return [str(path) for path in self._system.find(self._root)]

        try:
            found = self._tried(listed)
        except Exception as error:
            raise self._refused("a place that is there and can be listed", error) from error
        begin = f"{self._root.rstrip('/')}/"
        return [path.removeprefix(begin) for path in found if path.startswith(begin)]

    def fetched(self, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Objects with their content; one that is gone by now is left out.

        Raises:
            StoreError: One cannot be read.
        """
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            paths = [self._path(name) for name in some]
            try:
                found = self._tried(partial(self._many, paths))
                for name, path in zip(some, paths, strict=True):
                    data = found.get(path)
                    if not isinstance(data, bytes):
                        data = self.fetched_again(name)
                    if data is not None:
                        yield name, data
            except StoreError:
                raise
            except Exception as error:
                raise self._refused("objects that can be read", error) from error

    def fetched_again(self, name: str) -> bytes | None:
        """One object by itself; None where it is gone.

        Raises:
            StoreError: It cannot be read.
        """
        try:
            return bytes(self._tried(lambda: self._system.cat_file(self._path(name))))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._refused("objects that can be read", error) from error

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whose name stands for its content; it may be there already.

        Raises:
            StoreError: It cannot be written, or is not there as it was written.
        """
        path = self._path(name)

        def written() -> None:
            self._write(path, data)
            if (size := self._system.size(path)) != len(data):
                raise OSError(f"{size} bytes of {len(data)} that were written")

        try:
            self._tried(written)
        except Exception as error:
            raise self._refused("a place that can be written", error) from error

    def try_writing(self) -> None:
        """Write a small object and read it again; it stays, for not everybody may delete.

        Raises:
            StoreError: It cannot be written or read.
        """
        self.put(_NOTE, _NOTE_TEXT)
        if self.fetched_again(_NOTE) != _NOTE_TEXT:
            raise StoreError(f"an object that reads as it was written, got another ({self.url})")

    def move(self, name: str, to: str) -> None:
        """Give an object another name.

        Raises:
            StoreError: That is refused.
        """
        try:
            self._make_folder(self._path(to))
            self._system.mv(self._path(name), self._path(to))
        except Exception as error:
            raise self._refused("a place that can be written", error) from error

    def _write(self, path: str, data: bytes) -> None:
        if self._is_whole:
            self._system.pipe_file(path, data)
            return
        self._make_folder(path)
        # A part of its own for each writer; it is no pack by its name.
        part = f"{path}.{random.getrandbits(64):016x}.part"
        self._system.pipe_file(part, data)
        self._system.mv(part, path)

    def _make_folder(self, path: str) -> None:
        if not self._is_whole:
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _many(self, paths: list[str]) -> dict[str, bytes | Exception]:
        found = self._system.cat(paths, on_error="return")
        return dict(found)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _tried(self, ask: Callable[[], Value]) -> Value:
        for wait in WAITS:
            try:
                return _answered(ask)
            except _FINAL:
                raise
            except Exception as error:
                logger.info("%s: tried again in %s s (%s)", self.url, wait, error)
                # Not all at the same moment, who were refused at the same moment.
                time.sleep(wait * random.uniform(0.5, 1.5))
        return _answered(ask)

    def _refused(self, expected: str, error: Exception) -> StoreError:
        said = (str(error).splitlines() or [""])[0][:300]
        return StoreError(f"{expected}, got {type(error).__name__}: {said} ({self.url})")


def _answered(ask: Callable[[], Value]) -> Value:
    """What a driver answers in time; it is left to itself where it does not."""
    answers: SimpleQueue[Value | Exception] = SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask())
        except Exception as error:
            answers.put(error)

    Thread(target=run, daemon=True).start()
    try:
        answer = answers.get(timeout=PATIENCE)
    except Empty:
        raise NoAnswer(f"none within {PATIENCE:.0f} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer

"""A place in memory whose driver fails at random, as a seed says: `flaky://`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Flaky(MemoryFileSystem):
    """Memory that refuses a share of what is asked, before it was done or after."""

    protocol = "flaky"
    cachable = False
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    chance = random.Random(0)
    share = 0.0
    asked = 0
    refused: type[Exception] | None = None
    """Of everything that writes."""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("flaky://"))

    @classmethod
    def _at_risk(cls, ask: Callable[[], Any]) -> Any:
        cls.asked += 1
        is_bad = cls.chance.random() < cls.share
        is_done = cls.chance.random() < 0.5
        if is_bad and not is_done:
            raise OSError("503 SlowDown")
        answer = ask()
        if is_bad:
            raise ConnectionResetError("the answer was lost on its way")
        return answer

    def find(self, *args: Any, **kwargs: Any) -> Any:
        return self._at_risk(lambda: super(Flaky, self).find(*args, **kwargs))

    def cat_file(self, *args: Any, **kwargs: Any) -> Any:
        return self._at_risk(lambda: super(Flaky, self).cat_file(*args, **kwargs))

    def size(self, *args: Any, **kwargs: Any) -> Any:
        return self._at_risk(lambda: super(Flaky, self).size(*args, **kwargs))

    def pipe_file(self, *args: Any, **kwargs: Any) -> Any:
        self._may_write()
        return self._at_risk(lambda: super(Flaky, self).pipe_file(*args, **kwargs))

    def mv(self, *args: Any, **kwargs: Any) -> Any:
        self._may_write()
        return super().mv(*args, **kwargs)

    def _may_write(self) -> None:
        if Flaky.refused is not None:
            raise Flaky.refused("writes are refused")


@contextmanager
def flaky(share: float = 0.0, seed: int = 0) -> Iterator[type[Flaky]]:
    """An empty place that refuses a share of all requests."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.store.clear()
    Flaky.pseudo_dirs[:] = [""]
    Flaky.chance, Flaky.share, Flaky.asked = random.Random(seed), share, 0
    try:
        yield Flaky
    finally:
        Flaky.share, Flaky.refused = 0.0, None

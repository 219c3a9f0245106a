"""Which samples are given out next, and what becomes of those over which a worker dies.

Nothing here knows what a worker is: the engine deals jobs by it, the simulation seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

MOST_SAMPLES = 8
"""Of a piece, unless one image has more: so many may share a pass, and are lost with a worker."""
_PIECES_EACH = 4
"""Pieces that are left for each worker, about, when they begin to get smaller."""
DEATHS = 2
"""Workers that a sample may take with it, measured alone, before it has to wait for all others."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece(Generic[Item]):
    """What one worker measures before it is given more."""

    items: tuple[Item, ...]
    deaths: int = 0
    """Workers that have died while they had it alone, without other items."""


class Dealer(Generic[Item]):
    """Deals clusters of items: large pieces first, so that little is waited for at the end.

    A piece that a worker has died over is dealt again item by item, which tells which one it was.
    An item that has taken `DEATHS` workers with it is set aside until all others are done, and is
    given up if it takes another one then.
    """

    def __init__(self, clusters: Iterable[Sequence[Item]]) -> None:
        """Take what is to be measured.

        Args:
            clusters: Items that are best measured together; the most costly clusters first.
        """
        self._clusters = deque(tuple(one) for one in clusters)
        self._again: deque[Piece[Item]] = deque()
        self._aside: deque[Piece[Item]] = deque()
        self._out: set[Piece[Item]] = set()
        self._waiting = sum(map(len, self._clusters))
        self._is_withheld = False
        self.total = self._waiting
        self.done = 0
        """Items that were measured."""
        self.given_up: list[Item] = []

    @property
    def waiting(self) -> int:
        """Items that no worker has."""
        return self._waiting

    @property
    def is_over(self) -> bool:
        """Whether nothing is out, and nothing more will be."""
        return not self._out and (self._is_withheld or not self._waiting)

    def withhold(self) -> None:
        """Deal nothing more; what is out may still come back."""
        self._is_withheld = True

    def next(self, workers: int) -> Piece[Item] | None:
        """A piece for one of so many workers; None where none is to be had now."""
        piece = None if self._is_withheld else self._next(workers)
        if piece is not None:
            self._waiting -= len(piece.items)
            self._out.add(piece)
        return piece

    def _next(self, workers: int) -> Piece[Item] | None:
        if self._again:
            return self._again.popleft()
        if self._clusters:
            return Piece(self._some(workers))
        # Of those that were set aside one at a time, and only when nothing else can be lost.
        return self._aside.popleft() if self._aside and not self._out else None

    def _some(self, workers: int) -> tuple[Item, ...]:
        share = self._waiting // (_PIECES_EACH * max(1, workers))
        room = max(1, min(MOST_SAMPLES, share))
        items = list(self._clusters.popleft())
        while self._clusters and len(items) + len(self._clusters[0]) <= room:
            items += self._clusters.popleft()
        return tuple(items)

    def finish(self, piece: Piece[Item]) -> None:
        """Count a piece as measured, the first time that it comes back."""
        if piece in self._out:
            self._out.remove(piece)
        elif piece in self._again:
            # Of a worker that nobody has waited for.
            self._again.remove(piece)
            self._waiting -= len(piece.items)
        else:
            return
        self.done += len(piece.items)

    def lose(self, piece: Piece[Item], *, is_blamed: bool) -> None:
        """Take back what a worker had that is gone, or is not waited for.

        Args:
            piece: What it had; where another has measured it by now, there is nothing to do.
            is_blamed: Whether it may have died of it: nobody has ended it or its machine.
        """
        if piece not in self._out:
            return
        self._out.remove(piece)
        if not is_blamed:
            self._take_back([piece])
        elif len(piece.items) > 1:
            self._take_back([Piece((item,)) for item in piece.items])
        elif piece.deaths + 1 > DEATHS:
            self.given_up += piece.items
        else:
            self._take_back([Piece(piece.items, piece.deaths + 1)])

    def _take_back(self, pieces: Sequence[Piece[Item]]) -> None:
        for piece in reversed(pieces):
            queue = self._aside if piece.deaths >= DEATHS else self._again
            queue.appendleft(piece)
            self._waiting += len(piece.items)

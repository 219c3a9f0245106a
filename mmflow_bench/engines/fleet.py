"""Pieces dealt to workers as they come free, until nothing is left or somebody stops it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol

from mmflow_bench.engines.dealing import Dealer, Item, Piece

logger = logging.getLogger(__name__)

IN_HAND = 2
"""Pieces that a worker has, so that the next one is there when the first is done."""
PATIENCE = 0.5
"""Seconds after which it is looked whether somebody wants to stop."""
TIMES_AS_LONG = 4.0
"""As the quickest worker has ever taken: who does is not waited for while others have nothing."""
LEAST_WAIT = 60.0
"""Seconds for which any worker is waited for."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker can be given work."""

    worker: str


@dataclass(frozen=True, slots=True)
class Finished(Generic[Item]):
    """A worker has measured a piece, and what it found is stored."""

    worker: str
    piece: Piece[Item]


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, with all that it had."""

    worker: str
    why: str
    is_own_death: bool
    """Whether it died by itself: nobody has ended it, and its machine is there."""


class Fleet(Protocol[Item]):
    """Workers, wherever they are."""

    def give(self, worker: str, piece: Piece[Item]) -> None:
        """Give a worker a piece, which it measures after those that it was given before."""

    def events(self, patience: float) -> Iterable[Ready | Finished[Item] | Lost]:
        """What has happened, as soon as anything has; nothing after so many seconds.

        Raises:
            MMFlowError: Workers cannot measure at all.
        """


@dataclass(slots=True)
class _Hand(Generic[Item]):
    """What a worker has, what it is at first."""

    since: float
    """When it began with that."""
    pieces: list[Piece[Item]] = field(default_factory=list)


class Dealing(Generic[Item]):
    """Who has which pieces; workers stay from one round to the next."""

    def __init__(self, fleet: Fleet[Item], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Deal to a fleet.

        Args:
            fleet: The workers.
            clock: Tells seconds.
        """
        self._fleet, self._clock = fleet, clock
        self._hands: dict[str, _Hand[Item]] = {}
        self._late: dict[str, list[Piece[Item]]] = {}
        """What workers are at that nobody waits for."""
        self._longest: dict[str, float] = {}
        """Worker -> seconds for a sample, of the piece that has taken it longest."""
        self._spent, self._looked = 0.0, clock()

    @property
    def workers(self) -> int:
        """How many are at work, or could be."""
        return len(self._hands)

    @property
    def hours(self) -> float:
        """Of all workers since each could be given work."""
        return self._spent / 3600

    def wait_for_one(self, is_stopped: Callable[[], bool]) -> None:
        """Return once a worker can be given work."""
        while not self._hands and not is_stopped():
            self._hear(Dealer([]))

    def run(
        self,
        dealer: Dealer[Item],
        *,
        is_stopped: Callable[[], bool],
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """Deal until nothing is left, or nothing more is wanted; what is out then is waited for.

        Args:
            dealer: Has what is to be measured.
            is_stopped: Whether no more is wanted.
            tell: Called when something has been measured.
        """
        while True:
            if is_stopped():
                dealer.withhold()
            self._deal(dealer)
            if dealer.is_over:
                return
            done = dealer.done
            self._hear(dealer)
            if dealer.done > done:
                tell()

    def _deal(self, dealer: Dealer[Item]) -> None:
        for held in range(IN_HAND):
            # The last pieces wait for whoever is free first.
            if dealer.waiting > held * self.workers:
                for worker, hand in self._hands.items():
                    if len(hand.pieces) == held and (piece := dealer.next(self.workers)):
                        self._give(worker, hand, piece)
        if not all(hand.pieces for hand in self._hands.values()):
            self._leave_the_late(dealer)

    def _give(self, worker: str, hand: _Hand[Item], piece: Piece[Item]) -> None:
        if not hand.pieces:
            hand.since = self._clock()
        hand.pieces.append(piece)
        self._fleet.give(worker, piece)

    def _leave_the_late(self, dealer: Dealer[Item]) -> None:
        """Take back what workers have that take far too long: another one has nothing to do."""
        now = self._clock()
        # Of the quickest: all that a slow worker has done so far was slow as well.
        longest = min(self._longest.values(), default=math.inf)
        for worker, hand in list(self._hands.items()):
            took = now - hand.since
            if not hand.pieces or took < LEAST_WAIT:
                continue
            if took > TIMES_AS_LONG * longest * len(hand.pieces[0].items):
                logger.warning(
                    "a worker has been at it for %.0f seconds, which is far longer than others: "
                    "it is not waited for, and what it has is dealt again",
                    took,
                )
                self._late[worker] = self._hands.pop(worker).pieces
                for piece in reversed(self._late[worker]):
                    dealer.lose(piece, is_blamed=False)

    def _hear(self, dealer: Dealer[Item]) -> None:
        for event in self._fleet.events(PATIENCE):
            if isinstance(event, Ready):
                self._hands[event.worker] = _Hand(self._clock())
            elif isinstance(event, Finished):
                self._finish(event.worker, event.piece)
                dealer.finish(event.piece)
            else:
                self._late.pop(event.worker, None)
                hand = self._hands.pop(event.worker, None)
                # That it had finished the first may be lost with it, so that all are blamed. The
                # last comes first, so that the one it was at is the next to be dealt.
                for piece in reversed(hand.pieces if hand else []):
                    dealer.lose(piece, is_blamed=event.is_own_death)
        now = self._clock()
        self._spent += (now - self._looked) * (len(self._hands) + len(self._late))
        self._looked = now

    def _finish(self, worker: str, piece: Piece[Item]) -> None:
        """Note that a worker is free again, or has one piece less."""
        now = self._clock()
        if worker in self._late:
            self._late[worker].remove(piece)
            if not self._late[worker]:
                del self._late[worker]
                self._hands[worker] = _Hand(now)
            return
        hand = self._hands[worker]
        took = (now - hand.since) / len(piece.items)
        self._longest[worker] = max(self._longest.get(worker, 0.0), took)
        hand.pieces.remove(piece)
        hand.since = now

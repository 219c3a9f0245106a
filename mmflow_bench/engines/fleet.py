"""Pieces dealt to workers as they come free, until nothing is left or somebody stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol

from mmflow_bench.engines.dealing import Dealer, Item, Piece

IN_HAND = 2
"""Pieces that a worker has, so that the next one is there when the first is done."""
PATIENCE = 0.5
"""Seconds after which it is looked whether somebody wants to stop."""


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


class Dealing(Generic[Item]):
    """Who has which pieces; workers stay from one round to the next."""

    def __init__(self, fleet: Fleet[Item]) -> None:
        self._fleet = fleet
        self._hands: dict[str, list[Piece[Item]]] = {}

    @property
    def workers(self) -> int:
        """How many are at work, or could be."""
        return len(self._hands)

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
        hands = [(name, hand) for name, hand in self._hands.items() if len(hand) < IN_HAND]
        for held in range(IN_HAND):
            # The last pieces wait for whoever is free first.
            if dealer.waiting <= held * self.workers:
                return
            for worker, hand in hands:
                if len(hand) == held and (piece := dealer.next(self.workers)) is not None:
                    hand.append(piece)
                    self._fleet.give(worker, piece)

    def _hear(self, dealer: Dealer[Item]) -> None:
        for event in self._fleet.events(PATIENCE):
            if isinstance(event, Ready):
                self._hands[event.worker] = []
            elif isinstance(event, Finished):
                self._hands[event.worker].remove(event.piece)
                dealer.finish(event.piece)
            else:
                hand = self._hands.pop(event.worker, [])
                # The last one first, so that the one it was at comes first again.
                for place, piece in reversed(list(enumerate(hand))):
                    dealer.lose(piece, is_blamed=event.is_own_death and not place)

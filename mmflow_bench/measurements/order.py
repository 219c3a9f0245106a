"""The random order in which samples are looked at, fixed before any was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain


def place_of(key: str, seed: int | None) -> str:
    """Where a sample is in the random order, by the hash of its content; --seed makes another."""
    return sha256(f"{seed or 0}/{key}".encode()).hexdigest()


END = "~"
"""After every place in an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Some samples of a task, in a random order that was fixed before any was looked at."""

    samples: tuple[tuple[str, str], ...]
    """Place and question id of each, in order, as far as every sample of the order is at hand."""
    missing: str
    """The place of the first that is not; `END` where all are at hand."""
    of: int
    """Samples of the task."""
    seen: float
    """Share of its images that are at hand."""
    looks: int
    """How many looks share an error rate, before the one at everything."""

    @property
    def question_ids(self) -> tuple[str, ...]:
        return tuple(question for _, question in self.samples)

    @classmethod
    def pooled(cls, orders: Sequence[Order]) -> Order:
        """The order of the samples of several tasks together: places are comparable."""
        missing = min(order.missing for order in orders)
        every = sorted(chain.from_iterable(order.samples for order in orders))
        return cls(
            samples=tuple(one for one in every if one[0] < missing),
            missing=missing,
            of=sum(order.of for order in orders),
            seen=min(order.seen for order in orders),
            looks=max(order.looks for order in orders),
        )

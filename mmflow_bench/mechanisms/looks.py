"""When more and more samples are looked at, and how the looks share an error rate.

A bet (`statistics.betting`) may be looked at whenever one likes. What is no mean, a place say, has
an interval for one look: it is given an equal part of alpha at each look before the last, when all
images are at hand and nothing is left to err about (docs/decisions/066).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmflow_bench.measurements.order import Order
from mmflow_bench.statistics.betting import Drawn

FIRST, STEP, FINE = 16, 8, 64
"""Images at the first look, how many more at the next ones, and until when."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look, at the first images of each task."""

    images: int
    looks: int
    """How many looks share the error rate of what is not bet on."""
    is_last: bool

    @property
    def share(self) -> float:
        """Part of alpha for what knows nothing of how many images there are.

        It may err at the last look too, and is given half of alpha there.
        """
        return 0.5 if self.is_last else 0.5 / self.looks


def looks_of(images: int) -> tuple[Look, ...]:
    """The looks at tasks of at most so many images: close to each other first, then by half.

    >>> [look.images for look in looks_of(200)]
    [16, 24, 32, 40, 48, 56, 64, 96, 128, 192, 200]

    Args:
        images: Of the task that has most, at least 1.
    """
    found, step = list(range(FIRST, min(images, FINE + 1), STEP)), FINE
    while 3 * step // 2 < images:
        found += [one for one in (3 * step // 2, 2 * step) if one < images]
        step *= 2
    early = max(1, len(found))
    return (*(Look(one, early, False) for one in found), Look(images, early, True))


def drawn_in(order: Order, question_ids: Sequence[str]) -> Drawn:
    """Where the samples of an order are in a table that has these in its rows."""
    place = {question: row for row, question in enumerate(question_ids)}
    rows = np.array([place.get(question, -1) for question in order.question_ids], int)
    return Drawn(rows, order.of, order.seen, order.looks)

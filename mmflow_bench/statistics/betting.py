"""Confidence at any time: bets on samples that are drawn one by one, without replacement.

Whoever believes that a mean over a finite set is at least m accepts a bet at each draw whose gain
is expected to be none. A capital of 1 that has grown to 1 / alpha is therefore as improbable as
alpha, at whatever draw one looks and however often (Ville's inequality). What was drawn is put into
the next bet: the mean of the rest follows from it, so that nothing is left to bet on when the set
is used up. Waudby-Smith and Ramdas, arXiv:2010.09686 and arXiv:2006.04347; docs/decisions/066.

Bounds are of the number itself: of the lowest, or the highest, of several means too. A claim that
some mean is low is bet on the one that has been lowest so far; a claim that none is must win
against each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mmflow_bench.statistics.intervals import Interval

STAKES = ((0.98, 0.75), (0.5, 0.25))
"""The largest share of the capital that is put on one draw, and the part of the capital that is
played so: boldly, and so that one draw that goes wrong can be made up for."""
PRIOR_DRAWS, PRIOR_VARIANCE = 0.25, 0.0025
"""What is thought of the spread before the first draw, in squares of the range."""
STEPS = 18
"""Halvings of the range in the search for a bound."""
MOST_COMBINATIONS = 512
"""Of columns that a bound may have to win against, all at once."""


class Reading(Enum):
    """Which of the means of several columns is meant."""

    LOWEST = -1
    HIGHEST = 1


@dataclass(frozen=True, eq=False)
class Drawn:
    """Some samples of a finite set, in the order in which they were drawn."""

    rows: Int[ndarray, "draw"]
    """Where each is in the table of values; -1 for one that has none, of which nothing is said."""
    of: int
    """Samples of the set."""
    seen: float
    """Share of the set's images that are at hand, which may be of more samples than these."""
    looks: float = 1.0
    """How many looks share the error rate of what is no mean."""

    def only(self, kept: Sequence[int]) -> Drawn:
        """The same for a table of these rows alone."""
        place = np.full(max([*self.rows, *kept], default=-1) + 2, -1)
        place[list(kept)] = np.arange(len(kept))
        # The last place is that of -1.
        return replace(self, rows=place[self.rows])


@dataclass(frozen=True, eq=False)
class Part:
    """A multiple of the lowest or the highest mean of some columns."""

    values: Float[ndarray, "draw column"]
    """Zero where a sample has none."""
    scale: float
    reading: Reading

    def is_low_somewhere(self, sign: int) -> bool:
        """Whether one low column is enough for it to be low (`sign` -1), or high (+1)."""
        return self.values.shape[1] == 1 or self.reading.value * self.scale * sign > 0


@dataclass(frozen=True, eq=False)
class Wager:
    """A number of a finite set that can be bet on: a sum of extremes of means of one table."""

    parts: tuple[Part, ...]
    has_value: Bool[ndarray, "draw"]
    of: int
    """Samples of the set."""
    low: float
    high: float
    """What a sample may add, at least and at most."""
    shift: float = 0.0

    @property
    def value(self) -> float:
        """The number on the samples that were drawn; NaN without any."""
        count = int(self.has_value.sum())
        if not count:
            return float("nan")
        means = [part.values.sum(axis=0) / count for part in self.parts]
        chosen = [
            part.scale * (mean.min() if part.reading is Reading.LOWEST else mean.max())
            for part, mean in zip(self.parts, means, strict=True)
        ]
        return float(sum(chosen)) + self.shift

    def above(self, threshold: float) -> float:
        """p-value, at any time, of the hypothesis that the number is at least `threshold`."""
        return self._p(threshold, -1)

    def below(self, threshold: float) -> float:
        """The same of the hypothesis that it is at most `threshold`."""
        return self._p(threshold, 1)

    def interval(self, alpha: float) -> Interval:
        """The numbers that are not rejected, with the error rate `alpha` on either side."""
        return Interval(self._bound(alpha, 1), self._bound(alpha, -1))

    def _bound(self, alpha: float, sign: int) -> float:
        kept, rejected = (self.high, self.low) if sign > 0 else (self.low, self.high)
        kept, rejected = kept + self.shift, rejected + self.shift
        if self._p(rejected, sign) > alpha:
            return rejected
        for _ in range(STEPS):
            middle = (kept + rejected) / 2
            if self._p(middle, sign) <= alpha:
                rejected = middle
            else:
                kept = middle
        return rejected

    def _p(self, threshold: float, sign: int) -> float:
        """Of the hypothesis that the number is not on the side `sign` of the threshold."""
        bound = threshold - self.shift
        low, high = (self.low, self.high) if sign > 0 else (-self.high, -self.low)
        if not low <= sign * bound <= high:
            # No mean is beyond what every sample can have.
            return float(sign * bound >= high)
        if len(self.has_value) == self.of:
            # Nothing is left to be drawn.
            return float(not sign * (self.value - threshold) > 0)
        paths = self._upwards if sign > 0 else self._downwards
        gains = sign * (paths - bound) * self.has_value[:, None]
        grown = capital(gains, of=self.of, lowest=min(0.0, low - sign * bound), range_=high - low)
        return min(1.0, float((1 / grown).max()))

    @cached_property
    def _upwards(self) -> Float[ndarray, "draw combination"]:
        return self._paths(1)

    @cached_property
    def _downwards(self) -> Float[ndarray, "draw combination"]:
        return self._paths(-1)

    def _paths(self, sign: int) -> Float[ndarray, "draw combination"]:
        """What is bet on at each draw: one path for each combination that has to be won against."""
        fixed = [part for part in self.parts if not part.is_low_somewhere(sign)]
        total = sum(
            (_followed(part, sign) for part in self.parts if part.is_low_somewhere(sign)),
            np.zeros(len(self.has_value)),
        )
        columns = list(product(*(range(part.values.shape[1]) for part in fixed)))
        against = sum(
            (
                part.scale * part.values[:, [chosen[i] for chosen in columns]]
                for i, part in enumerate(fixed)
            ),
            np.zeros((len(self.has_value), 1)),
        )
        return np.asarray(total)[:, None] + np.asarray(against)


def _followed(part: Part, sign: int) -> Float[ndarray, "draw"]:
    """A part, by the column that was the most extreme before each draw."""
    values = part.scale * part.values
    before = np.cumsum(values, axis=0) - values
    chosen = (sign * before).argmax(axis=1)
    return np.asarray(values[np.arange(len(values)), chosen])


def wager_on(
    values: Float[ndarray, "sample column"],
    drawn: Drawn | None,
    reading: Reading,
    *,
    bounds: tuple[float, float],
) -> Wager | None:
    """A bet on the lowest or the highest mean of some columns; None where nothing was drawn.

    Values beyond the bounds count as the bounds.

    Args:
        values: One row for each sample.
        drawn: In which order the rows were drawn.
        reading: Which of the means.
        bounds: The least and the most that a sample can have.
    """
    if drawn is None:
        return None
    has_value = drawn.rows >= 0
    table = np.clip(values, *bounds)[drawn.rows] * has_value[:, None]
    return Wager((Part(table, 1.0, reading),), has_value, drawn.of, *bounds)


def combined_wager(
    wagers: Sequence[Wager | None], scales: Sequence[float], shift: float = 0.0
) -> Wager | None:
    """A bet on a sum of multiples; None where one is none, or they are of different samples."""
    known = [one for one in wagers if one is not None]
    first = known[0] if known else None
    if first is None or len(known) < len(wagers):
        return None
    if any(
        one.of != first.of or not np.array_equal(one.has_value, first.has_value) for one in known
    ):
        return None
    scaled = list(zip(known, scales, strict=True))
    parts = [replace(p, scale=p.scale * by) for one, by in scaled for p in one.parts]
    ends = [sorted((by * one.low, by * one.high)) for one, by in scaled]
    widest = (
        int(np.prod([p.values.shape[1] for p in parts if not p.is_low_somewhere(sign)]))
        for sign in (-1, 1)
    )
    if max(widest) > MOST_COMBINATIONS:
        return None
    return Wager(
        tuple(parts),
        first.has_value,
        first.of,
        sum(low for low, _ in ends),
        sum(high for _, high in ends),
        shift + sum(by * one.shift for one, by in scaled),
    )


def capital(
    gains: Float[ndarray, "draw path"], *, of: int, lowest: float, range_: float
) -> Float[ndarray, "path"]:
    """The most that a capital of 1 has been, betting that the gains of a finite set are positive.

    Where their sum is not, it exceeds 1 / alpha in a share alpha of all orders at most.

    Args:
        gains: In the order of drawing; zero where a sample says nothing.
        of: Samples of the set.
        lowest: The least that a gain can be, at most 0.
        range_: From the least to the most that a sample can have.
    """
    draws = len(gains)
    before = np.cumsum(gains, axis=0) - gains
    left = (of - np.arange(draws))[:, None]
    # Of what is left the mean is at most this, if the sum of all is not positive.
    expected = -before / left
    room = expected - lowest
    is_won = (room < -1e-12).any(axis=0)
    count = np.arange(draws)[:, None] + PRIOR_DRAWS
    mean = before / count
    squares = np.cumsum(gains**2, axis=0) - gains**2
    variance = (squares + PRIOR_DRAWS * PRIOR_VARIANCE * range_**2) / count - mean**2
    edge = mean - expected
    wished = np.maximum(0.0, edge) / (np.maximum(variance, 0.0) + edge**2 + 1e-12)
    most = 1 / np.maximum(room, 1e-12)
    surplus = gains - expected
    logs = [
        np.log(part) + np.cumsum(np.log1p(np.minimum(wished, stake * most) * surplus), axis=0)
        for stake, part in STAKES
    ]
    grown = np.exp(np.minimum(np.logaddexp(*logs).max(axis=0, initial=0.0), 700.0))
    return np.where(is_won, np.inf, grown)

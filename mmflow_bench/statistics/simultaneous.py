"""A band that a whole curve lies in, and the test that a whole curve is zero.

The sup-t band holds for all layers at once: its half-width is the same number of standard errors
at every layer, the quantile over draws of the largest studentised deviation
(docs/decisions/005). Equivalence to zero is the two one-sided tests read off that band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtri, stdtrit

from mmflow_bench.statistics.unseen import Tail, outer


@dataclass(frozen=True, slots=True)
class Deviations:
    """Standard error of every layer, and the largest studentised deviation of every draw."""

    error: Float[ndarray, "layer"]
    largest: Float[ndarray, "draw"]


@dataclass(frozen=True, slots=True)
class Equivalence:
    """A whole curve against a margin around zero."""

    low: Float[ndarray, "layer"]
    high: Float[ndarray, "layer"]
    """The simultaneous 1 - 2 alpha band, and as wide as an unseen image can make it."""
    inside: Tail
    """Small when every layer lies within the margin."""
    outside: Tail
    """Small when some layer lies beyond it."""

    @property
    def p_inside(self) -> float:
        return self.inside.p

    @property
    def p_outside(self) -> float:
        return self.outside.p


def deviations(
    mean: Float[ndarray, "layer"], draws: Float[ndarray, "draw layer"], *, images: int
) -> Deviations:
    """Errors and deviations of bootstrap draws of a mean curve.

    The bootstrap variance lacks the factor n / (n - 1), and with few images the studentised mean
    has the tails of t; without both, 24 images give a band that covers four times in five.
    """
    drawn = draws[~np.isnan(draws).any(axis=1)]
    error = np.nanstd(drawn, axis=0) * np.sqrt(images / (images - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        studentised = np.where(error > 0, np.abs(drawn - mean) / error, 0.0)
    heavier = float(stdtrit(images - 1, 0.995) / ndtri(0.995))
    return Deviations(error, studentised.max(axis=1) * heavier)


def sup_t_band(
    mean: Float[ndarray, "layer"], spread: Deviations, *, level: float, floor: float
) -> tuple[Float[ndarray, "layer"], Float[ndarray, "layer"]]:
    """Lower and upper edge of the band that covers all layers with probability `level`."""
    half = np.maximum(np.quantile(spread.largest, level) * spread.error, floor)
    return mean - half, mean + half


def equivalence(
    mean: Float[ndarray, "layer"],
    spread: Deviations,
    *,
    margin: float,
    alpha: float,
    floor: float,
    unseen: tuple[Float[ndarray, "draw layer"], Float[ndarray, "draw layer"]] | None = None,
) -> Equivalence:
    """Two one-sided tests on the simultaneous band: is the whole curve within +-margin?

    Each p-value is at most alpha exactly where the 1 - 2 alpha band says so. `unseen` are the
    lowest and the highest mean curves with one unseen image more; every layer must stand both.
    """
    low, high = sup_t_band(mean, spread, level=1 - 2 * alpha, floor=floor)
    room = margin - np.abs(mean)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.where(np.abs(room) > floor, room / spread.error, 0.0)
    inside, outside = _tail(spread.largest, errors.min()), _tail(spread.largest, -errors.min())
    if unseen is None:
        return Equivalence(low, high, Tail(inside), Tail(outside))
    lowest, highest = unseen
    reach = outer(lowest, highest, alpha=alpha)
    low, high = np.minimum(low, reach[0]), np.maximum(high, reach[1])
    # That all layers are inside is as likely wrong as it is at the worst of them.
    beyond = max((lowest <= -margin).mean(axis=0).max(), (highest >= margin).mean(axis=0).max())
    within = min((lowest <= margin).mean(axis=0).min(), (highest >= -margin).mean(axis=0).min())
    return Equivalence(low, high, Tail(inside, float(beyond)), Tail(outside, float(within)))


def _tail(largest: Float[ndarray, "draw"], distance: float) -> float:
    """One-sided share of draws that deviate by at least `distance` standard errors somewhere."""
    if distance <= 0:
        return 1.0
    return float((1 + (largest >= distance).sum()) / (len(largest) + 1) / 2)

"""How many images a verdict takes, and what change so many images could have seen.

Normal approximation (Chow, Shao and Wang 2008, Sample Size Calculations in Clinical Research,
chapter 3): a difference has a standard error that shrinks with the root of the number of images.
Where hardly any image differs that is too hopeful, so one image that was not seen is always
reckoned with: it may have lost everything (docs/decisions/026).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import ndtr, ndtri
from scipy.stats import exponnorm

from mmflow_bench.statistics.unseen import images_to_show, unseen_share

POWER = 0.8
"""How often what is there is to be found."""
MOST_IMAGES = 2**40
"""More than there will ever be: what needs more needs too many."""


def standard_error(replicates: Float[ndarray, "draw"] | None, images: int) -> float:
    """The standard error of a number whose bootstrap drew so many images; NaN without any draws."""
    known = np.empty(0) if replicates is None else replicates[~np.isnan(replicates)]
    if not len(known) or images < 2:
        return math.nan
    # A bootstrap draws from the images there are, whose spread is a little too small.
    return float(known.std()) * math.sqrt(images / (images - 1))


def reach(error: float, images: float, *, alpha: float) -> float:
    """How far a mean of zero may be from zero, for all that some images tell.

    The upper alpha quantile of a normal error plus the weight of one image that was not seen and
    has lost everything; of the first alone with many images, of the second alone without noise.

    Args:
        error: Standard error of the mean.
        images: How many there are.
        alpha: Error rate of one side.
    """
    unseen = unseen_share(images, alpha=alpha)
    weight = unseen / -math.log(alpha)
    if error < 1e-3 * weight:
        return unseen
    return float(exponnorm.isf(alpha, weight / error, scale=error))


def images_for_unchanged(spread: float, margin: float, *, alpha: float, power: float) -> int:
    """Images from which a difference of zero is called `unchanged` with probability `power`.

    Two one-sided tests, at zero: with many images (z(1-alpha) + z((1+power)/2))^2 spread^2 /
    margin^2, and the more for the image that was not seen the fewer they are.

    Args:
        spread: Standard deviation of the difference from image to image.
        margin: Tolerance, in the unit of the spread.
        alpha: Error rate of the claim.
        power: Probability of the verdict, in (0, 1).
    """
    fewest = images_to_show(margin, alpha=alpha)
    errors = _quantiles(alpha, (1 - power) / 2) * spread / margin
    many = min(errors * errors, MOST_IMAGES)
    numbers = range(fewest, 8 * (fewest + math.ceil(many)))
    chance = partial(chance_of_unchanged, spread, margin, alpha=alpha)
    return numbers[min(bisect_left(numbers, power, key=chance), len(numbers) - 1)]


def images_for_changed(
    spread: float, distance: float, *, alpha: float, power: float, tests: int = 1
) -> int:
    """Images from which a change is called one with probability `power`.

    `distance` is how far the change lies beyond the tolerance; `tests` rows share `alpha`, as in
    the first step of Holm's correction.

    >>> images_for_changed(33 * (2 * 0.2) ** 0.5, 5, alpha=0.05, power=0.8)
    137
    """
    needed = (_quantiles(alpha / (2 * tests), 1 - power) * spread / distance) ** 2
    return math.ceil(needed)


def chance_of_unchanged(spread: float, margin: float, images: float, *, alpha: float) -> float:
    """The probability that a difference of zero is called `unchanged` on so many images."""
    if images < images_to_show(margin, alpha=alpha):
        return 0.0
    if not spread:
        return 1.0
    error = spread / math.sqrt(images)
    return max(0.0, 2 * float(ndtr((margin - reach(error, images, alpha=alpha)) / error)) - 1)


def smallest_change(
    error: float, margin: float, images: int, *, alpha: float, power: float, tests: int = 1
) -> float:
    """The smallest change that would have been called one with probability `power`.

    It lies beyond the margin by the error of both decisions, at `alpha` shared by all `tests`; and
    what so few images may not have met at all they have not seen.

    Args:
        error: Standard error of the difference on these images.
        margin: Tolerance.
        images: How many there are.
        alpha: Family-wise error rate.
        power: Probability of the verdict.
        tests: Rows that are tested together.
    """
    seen = margin + _quantiles(alpha / (2 * tests), 1 - power) * error
    return max(seen, unseen_share(images, alpha=alpha))


def smallest_margin(error: float, images: int, *, alpha: float, power: float) -> float:
    """The smallest tolerance within which zero would have been called `unchanged`."""
    return reach(error, images, alpha=alpha) - float(ndtri((1 - power) / 2)) * error


def chance_of_at_least(chances: Sequence[float], required: int) -> float:
    """The probability that at least `required` of several happen: the less of two extremes.

    Rows that share their images are neither independent nor one and the same; the probability is
    worked out for both, and the smaller is given.
    """
    together = sorted(chances, reverse=True)[required - 1] if required else 1.0
    counts: Float[ndarray, "count"] = np.ones(1)
    for chance in chances:
        counts = np.convolve(counts, [1 - chance, chance])
    return min(together, float(counts[required:].sum()))


def _quantiles(alpha: float, missed: float) -> float:
    """Standard errors between zero and a value that is missed with probability `missed`."""
    return -float(ndtri(alpha) + ndtri(missed))

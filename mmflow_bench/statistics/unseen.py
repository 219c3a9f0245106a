"""What images that were not looked at may still do: one more image that behaves in the worst way.

A bootstrap knows only what was seen: of a sample without any difference it makes certainty. So the
images are weighed once more together with one unseen image, as a Bayesian bootstrap of n + 1 points
does (Dirichlet weights). For the mean of a bounded quantity this is the bound of Learned-Miller and
Thomas (arXiv:1905.06208); of yes and no it is Clopper and Pearson's. Where n images all agree, the
unseen one weighs up to 1 - alpha^(1/n): a twentieth at 59 images (docs/decisions/020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.special import ndtri

from mmflow_bench.statistics.remembering import remembered

DRAWS = 2000
SEED = 190506208
ROOM = 128 * 2**20
"""Bytes of weights that are kept: those of 900 images are 14 MB, and there are six such tasks."""
MANY = 100_000
"""Numbers of images beyond this are not told: no question set has them."""


class Tail(NamedTuple):
    """p-values of one hypothesis, by resampling and with an unseen image."""

    resampled: float
    unseen: float = 0.0

    @property
    def p(self) -> float:
        """The larger of both."""
        return min(1.0, max(self))


@remembered(ROOM)
def unseen_weights(images: int, of: int | None = None) -> Float[ndarray, "draw image"]:
    """Weights of the images and, in the last column, of one that was not seen; of mean one.

    The unseen image's share of the whole is taken at equal steps of its distribution, so that its
    quantiles are exact.

    Args:
        images: How many were seen.
        of: Of how many they were drawn; None of infinitely many. That k of the rest are like the
            unseen one is as likely as that none of k that differ was drawn.
    """
    generator = np.random.default_rng([SEED, images])
    own = generator.standard_exponential((DRAWS, images))
    own /= own.sum(axis=1, keepdims=True)
    step = (generator.permutation(DRAWS) + 0.5) / DRAWS
    if of is None:
        share = 1 - step ** (1 / images)
        seen = own
        seen *= (1 - share)[:, None]
    else:
        differing = _not_drawn(step, images, of)
        share = differing / of
        # Those at hand are there once; the rest of the set is guessed from them.
        seen = (1 + generator.multinomial(of - images - differing, own)) / of
    weights = np.empty((DRAWS, images + 1))
    weights[:, :-1], weights[:, -1] = seen, share
    weights *= images + 1
    weights.setflags(write=False)
    return weights


def _not_drawn(step: Float[ndarray, "draw"], images: int, of: int) -> Int[ndarray, "draw"]:
    """How many of a finite set may differ where so improbable a draw has none of them."""
    rest = of - images
    further = np.arange(rest)
    # Chance to draw none of k: each further one must be among those that were not drawn.
    chance = np.cumprod((rest - further) / (of - further))
    return np.asarray((chance[:, None] > step).sum(axis=0), dtype=np.int64)


def unseen_share(images: float, *, alpha: float) -> float:
    """Largest share of all images that may differ where none of so many does.

    >>> round(unseen_share(59, alpha=0.05), 3), round(unseen_share(14, alpha=0.05), 3)
    (0.05, 0.193)
    """
    return float(-math.expm1(math.log(alpha) / images))


def images_to_show(share: float, *, alpha: float) -> int:
    """How many images must agree until less than `share` of all images may differ.

    >>> images_to_show(0.05, alpha=0.05), images_to_show(0.1, alpha=0.05)
    (59, 29)

    Args:
        share: Between 0 and 1, both excluded.
        alpha: Error rate.
    """
    # A power of a share may come out a hair above a whole number.
    return math.ceil(math.log(alpha) / math.log1p(-share) - 1e-9)


def images_needed(
    p_resampled: float, p_unseen: float, *, images: int, alpha: float, tails: int = 1
) -> int | None:
    """About how many images a decision takes, from the two p-values that some have given.

    A resampled p-value falls as the normal tail of a distance that grows with the root of the
    number of images, that of an unseen image as a power of it.

    >>> images_needed(0.0, 0.95**14, images=14, alpha=0.05)
    59

    Args:
        p_resampled: Of the bootstrap; with two `tails` it is that of either side, doubled.
        p_unseen: With one unseen image more, one-sided.
        images: How many there are.
        alpha: Error rate of the decision.
        tails: Sides that the error rate is shared by when images are resampled.

    Returns:
        The number; None where what was seen does not point to a decision at all.
    """
    by_noise = by_share = 0.0
    if p_resampled > alpha:
        distance = float(ndtri(min(1.0, p_resampled) / tails))
        if distance >= 0:
            return None
        by_noise = images * (float(ndtri(alpha / tails)) / distance) ** 2
    if p_unseen > alpha:
        if p_unseen >= 1:
            return None
        by_share = images * math.log(alpha) / math.log(p_unseen)
    count = max(by_noise, by_share)
    return math.ceil(count - 1e-6) if images < count <= MANY else None


def outer(
    lowest: Float[ndarray, "draw *layer"], highest: Float[ndarray, "draw *layer"], *, alpha: float
) -> tuple[Float[ndarray, "*layer"], Float[ndarray, "*layer"]]:
    """The bounds that a share `alpha` of the draws lies at or beyond, on either side.

    Never between two draws: one of them may be infinite.
    """
    count = max(1, int(alpha * len(lowest)))
    low, high = np.sort(lowest, axis=0)[count - 1], np.sort(highest, axis=0)[-count]
    return np.asarray(low), np.asarray(high)


def share_beyond(draws: Float[ndarray, "draw"], threshold: float) -> float:
    """Share of the draws that are at least `threshold`, followed beyond the last of them.

    The tail is continued as an exponential one, which is what an unseen image's weight has.
    """
    if threshold == math.inf:
        return 0.0
    count = int((draws >= threshold).sum())
    if count:
        return count / len(draws)
    near, far = np.quantile(draws, [0.95, 0.9975])
    if far <= near:
        return 0.0
    rate = math.log(20) / (far - near)
    return float(0.0025 * np.exp(-rate * (threshold - far)))

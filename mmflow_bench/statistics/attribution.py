"""How much of an effect each of many parts carries, from random halves of them that were cut.

Masks come in pairs, a random half of the parts and its opposite: what one costs beyond the other
has no constant and no interaction of an even order in it, and in expectation tells the parts apart
whatever else they do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

_PENALTIES = np.logspace(-9, 1, 41)
"""Of a ridge regression, in multiples of the largest eigenvalue."""


def ridge(
    signs: Float[ndarray, "observation part"], values: Float[ndarray, "observation"]
) -> Float[ndarray, "part"]:
    """Coefficients of a linear regression through the origin, as smooth as predicts best.

    The penalty is that of generalised cross-validation (Golub, Heath and Wahba 1979).
    """
    if not values.any():
        return np.zeros(signs.shape[1])
    eigenvalues, vectors = np.linalg.eigh(signs.T @ signs)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    along = vectors.T @ (signs.T @ values)
    penalties = eigenvalues[-1] * _PENALTIES
    shrunk = eigenvalues + penalties[:, None]
    residual = values @ values - (along**2 * (shrunk + penalties[:, None]) / shrunk**2).sum(axis=1)
    freedom = len(values) - (eigenvalues / shrunk).sum(axis=1)
    score = np.maximum(residual, 0.0) / np.maximum(freedom, 1e-9) ** 2
    best = penalties[int(score.argmin())]
    return np.asarray(vectors @ (along / (eigenvalues + best)))


@dataclass(frozen=True, slots=True)
class Attribution:
    """The effect of each part, sample by sample, and an order in which to add them up."""

    effects: Float[ndarray, "sample part"]
    """Unbiased, and noisy in a single sample."""
    added: Float[ndarray, "sample part"]
    """Sums of the effects of the first, the first two ... parts, in an order that was found on the
    other half of the samples: what looks large by chance is not added first."""


def attribution(
    halves: Bool[ndarray, "sample pair part"],
    costs: Float[ndarray, "sample pair 2"],
    is_first: Bool[ndarray, "sample"],
) -> Attribution:
    """The effect of each part, by a regression on one half of the samples, corrected on the other.

    A regression on few observations is biased; what it leaves unexplained on other samples says by
    how much, since their masks are independent of each other and of it.

    Args:
        halves: Parts that the first mask of each pair cuts.
        costs: What either mask of a pair costs.
        is_first: Which samples are in the first half; none of another half is its regression's.
    """
    signs = np.where(halves, 1.0, -1.0)
    differences = costs[..., 0] - costs[..., 1]
    effects, added = (np.zeros((halves.shape[0], halves.shape[2])) for _ in range(2))
    for own in (is_first, ~is_first):
        # A single half is its own other.
        other = ~own if (~own).any() else own
        found = ridge(signs[other].reshape(-1, signs.shape[2]), differences[other].ravel())
        unexplained = differences[own] - signs[own] @ found
        pairs = signs.shape[1]
        effects[own] = found + np.einsum("spk,sp->sk", signs[own], unexplained) / pairs
        added[own] = np.cumsum(effects[own][:, np.argsort(-found, kind="stable")], axis=1)
    return Attribution(effects, added)

"""The likeliest tokens of a hidden state, and how many of them two sets have in common.

A token counts where it is told apart from the eleventh: which of several equal ones comes first is
up to the machine, so that none of them is among the ten (docs/decisions/048).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from mmflow_bench.checkpoints.parts import Unembedding
from mmflow_bench.errors import NotFiniteError

TOP = 10
"""Tokens that a position says (arXiv:2411.18620, App. D)."""
NONE = -1
"""In the place of a token that does not count."""
VALUES_AT_ONCE = 2**24
"""Logits that are looked at together: 64 megabytes, whatever the vocabulary."""
_ROUNDINGS = 64
"""Roundings that add up in a logit, which is summed in single precision."""

Tokens = Int[ndarray, "*position top"]


def tokens_read(
    unembedding: Unembedding, *, of: str
) -> Callable[[Float[Tensor, "row position hidden"]], Int[Tensor, "row position top"]]:
    """What reads the likeliest tokens off hidden states that have left the final norm.

    Args:
        unembedding: Of the checkpoint.
        of: What is read, where it is no number.
    """

    def read(normed: Float[Tensor, "row position hidden"]) -> Int[Tensor, "row position top"]:
        flat = normed.flatten(0, 1)
        # The vocabulary may be a thousand times as wide as a state: never all positions at once.
        vocabulary = unembedding(flat[:1]).shape[-1]
        step = max(1, VALUES_AT_ONCE // vocabulary)
        found = [
            likeliest(unembedding(block), precision=normed.dtype, of=of)
            for block in flat.split(step)
        ]
        return torch.cat(found).view(*normed.shape[:2], -1)

    return read


def likeliest(
    logits: Float[Tensor, "position vocab"], *, precision: torch.dtype, of: str
) -> Int[Tensor, "position top"]:
    """Ids of the ten likeliest tokens of every position, `NONE` for those that do not count.

    Args:
        logits: In single precision, whatever they were computed in.
        precision: What they were computed in.
        of: Whose logits they are, where they are no numbers.

    Raises:
        NotFiniteError: The logits overflow.
    """
    best = logits.topk(min(TOP + 1, logits.shape[-1]), dim=-1)
    if not bool(best.values[:, 0].isfinite().all()):
        raise NotFiniteError(of)
    is_told_apart = best.values[:, :-1] - best.values[:, -1:] > _slack(
        logits, best.values, precision
    )
    return torch.where(is_told_apart, best.indices[:, :-1], NONE)


def _slack(
    logits: Float[Tensor, "position vocab"],
    best: Float[Tensor, "position top"],
    precision: torch.dtype,
) -> Float[Tensor, "position 1"]:
    """How far apart two logits may be that are equal but for rounding."""
    # Terms of a sum may cancel: how large they are shows in the largest logit of either sign. A
    # model may suppress a token with minus infinity, which has no size.
    lowest = logits.amin(dim=-1, keepdim=True).nan_to_num(neginf=0.0)
    size = logits.amax(dim=-1, keepdim=True).abs().maximum(-lowest)
    slack = _ROUNDINGS * torch.finfo(torch.float32).eps * size
    if torch.finfo(precision).bits < 32:
        # The sum itself is rounded once more.
        slack += torch.finfo(precision).eps * best.nan_to_num(neginf=0.0).abs().amax(-1, True)
    return slack


def said(tokens: Tokens) -> frozenset[int]:
    """The tokens of all positions together."""
    return frozenset(tokens.ravel().tolist()) - {NONE}


def similarity(one: Tokens, other: Tokens) -> float:
    """Jaccard similarity of what all positions say together (Eq. 9); 1 where neither says any."""
    return _jaccard(said(one), said(other))


def position_similarity(one: Tokens, other: Tokens) -> float:
    """The mean of the similarity of every position, of those that say something in `one`."""
    pairs = [(said(first), said(second)) for first, second in zip(one, other, strict=True)]
    return float(np.mean([_jaccard(first, second) for first, second in pairs if first]))


def _jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    either = one | other
    return len(one & other) / len(either) if either else 1.0

"""Whether what was done to a row still shows in its states."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# A hidden state that is this much of a rounding error from the clean one is the clean one: it moves
# the result less than the order of a sum does.
_TRACE = 2**-7


def traces(hidden: Float[Tensor, "row position hidden"]) -> list[bool]:
    """Which rows differ from the first one by more than a trace, at any position."""
    # Nearly all that do differ at the last one, which is less to look at.
    found = _are_apart(hidden[:, -1:], hidden[0, -1:])
    unseen = [row for row, is_apart in enumerate(found) if row and not is_apart]
    if unseen:
        for row, is_apart in zip(unseen, _are_apart(hidden[unseen], hidden[0]), strict=True):
            found[row] = is_apart
    return found


def _are_apart(
    hidden: Float[Tensor, "row position hidden"], clean: Float[Tensor, "position hidden"]
) -> list[bool]:
    precise = torch.promote_types(hidden.dtype, torch.float32)
    size = torch.linalg.vector_norm(clean, dim=-1, dtype=precise) / clean.shape[-1] ** 0.5
    # Half precision rounds away more than may be passed over.
    rounding = torch.finfo(precise).eps * size
    is_same = (hidden - clean).abs().amax(dim=-1) <= _TRACE * rounding
    # Written so that NaN is a trace.
    apart: list[bool] = (~is_same.all(dim=-1)).tolist()
    return apart

"""The arithmetic of attention that is cut.

Queries of many rows read keys that all rows share (the prefix, never copied) and keys of their own
(the suffix).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.interventions.cuts import Cut, Shared, mask_of, prefix_parts
from mmflow_bench.interventions.fused import fused_attention
from mmflow_bench.interventions.knockout import Method

# Attention scores held at once: a processor is fastest when they fit its cache, an accelerator when
# they are many.
_SCORES_AT_ONCE_CPU = 2**20
_SCORES_AT_ONCE = 2**27
# Where there are no scores: entries of masks, counted as if every head had its own.
_MASKED_AT_ONCE = 2**25
_BITS = math.log2(math.e)


def attend(
    query: Float[Tensor, "row head query dim"],
    key: Float[Tensor, "row kv_head query dim"],
    value: Float[Tensor, "row kv_head query dim"],
    *,
    shared: Shared,
    cuts: Mapping[int, Sequence[Cut]],
    asked: Mapping[int, Sequence[int]],
) -> Float[Tensor, "row query head dim"]:
    """What every query of the suffix reads, each row without its own cut edges.

    Keys and values of the prefix are in `shared`. Rows that `cuts` does not name are whole. Of rows
    that `asked` names, other queries may be told anything.
    """
    read = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[-1])
    for rows in _portions(query, value, shared, cuts):
        places = range(rows.start, rows.stop)
        of_rows = [cuts.get(row, ()) for row in places]
        given = query[rows], key[rows], value[rows], shared, of_rows
        if _is_fused(query, value, shared, of_rows):
            read[rows] = _fused(*given, [asked.get(row) for row in places])
        else:
            read[rows] = _by_scores(*given)
    return read


def _portions(
    query: Tensor, value: Tensor, shared: Shared, cuts: Mapping[int, Sequence[Cut]]
) -> Iterator[slice]:
    """Neighbouring rows that are whole, or of which each is cut, as many as are read at once."""
    count, heads, queries, _ = query.shape
    of_row = heads * queries * (shared.keys.shape[1] + queries)
    for _, run in groupby(range(count), key=lambda row: bool(cuts.get(row))):
        rows = list(run)
        if _is_fused(query, value, shared, [cuts.get(rows[0], ())]):
            at_once = _MASKED_AT_ONCE
        else:
            at_once = _SCORES_AT_ONCE_CPU if query.device.type == "cpu" else _SCORES_AT_ONCE
        step = max(1, at_once // of_row)
        for first in range(rows[0], rows[-1] + 1, step):
            yield slice(first, min(first + step, rows[-1] + 1))


def _is_fused(query: Tensor, value: Tensor, shared: Shared, cuts: Sequence[Sequence[Cut]]) -> bool:
    """Whether a kernel reads these rows; whole ones are the same by every method."""
    is_plain = shared.softcap is None and (shared.method is Method.MASKED or not any(cuts))
    is_plain &= query.shape[-1] == value.shape[-1] and shared.keys.shape[1] > 0
    return is_plain and query.device.type == "cpu"


def _by_scores(
    query: Tensor, key: Tensor, value: Tensor, shared: Shared, cuts: Sequence[Sequence[Cut]]
) -> Float[Tensor, "row query head dim"]:
    named = {row: of_row for row, of_row in enumerate(cuts) if of_row}
    return _Block(shared, query, key, value).read(named)


def _fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    shared: Shared,
    cuts: Sequence[Sequence[Cut]],
    asked: Sequence[Sequence[int] | None],
) -> Float[Tensor, "row query head dim"]:
    length = shared.keys.shape[1]
    return fused_attention(
        query,
        (shared.keys, shared.values),
        (key, value),
        parts=prefix_parts(shared, cuts, query, asked),
        mask=mask_of(shared, cuts, query, slice(length, None)),
        scaling=shared.scaling,
    )


class _Block:
    """Some rows of `attend`; scores of prefix and suffix are kept apart, so nothing is joined."""

    def __init__(self, shared: Shared, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Compute the scores, the model's own mask included."""
        rows, heads, queries, dim = query.shape
        kv_heads = key.shape[1]
        self.shared = shared
        self.value = value
        self.shape = (kv_heads, rows, heads // kv_heads, queries)
        # One GEMM per key-value head over the queries of all rows: the prefix is read once.
        grouped = query.reshape(rows, kv_heads, -1, queries, dim).transpose(0, 1)
        length = shared.keys.shape[1]
        common = _scores(grouped.flatten(1, 3), shared.keys, shared)
        self.prefix = common.view(*self.shape, length)
        own = _scores(query.reshape(rows * kv_heads, -1, dim), key.flatten(0, 1), shared)
        self.suffix = own.view(rows, kv_heads, -1, queries, queries).transpose(0, 1)
        self.suffix.masked_fill_(shared.hidden[:, length:], -torch.inf)
        if shared.hides_prefix:
            self.prefix.masked_fill_(shared.hidden[:, :length], -torch.inf)

    def read(self, cuts: Mapping[int, Sequence[Cut]]) -> Float[Tensor, "row query head dim"]:
        """Softmax and values; scores become weights in place."""
        method = self.shared.method
        if method is Method.MASKED:
            self._fill(cuts, -torch.inf)
        total = self._softmax()
        replaced = {}
        if method is not Method.MASKED:
            if method is Method.COUNTERFACTUAL:
                replaced = {
                    row: (cut.targets, self._replaced(row, cut))
                    for row, of_row in cuts.items()
                    for cut in of_row
                }
            self._fill(cuts, 0.0)
        output = self._values()
        for row, (targets, read) in replaced.items():
            output[:, row].index_add_(2, targets, read)
        output /= total
        kv_heads, rows, group, queries = self.shape
        joined = output.permute(1, 3, 0, 2, 4).reshape(rows, queries, kv_heads * group, -1)
        return joined.to(self.value.dtype)

    def _fill(self, cuts: Mapping[int, Sequence[Cut]], value: float) -> None:
        kv_heads, _, group, _ = self.shape
        length = self.prefix.shape[-1]
        for row, of_row in cuts.items():
            for cut in of_row:
                edges = cut.in_heads(kv_heads * group, kv_heads)
                self.prefix[:, row].masked_fill_(edges[..., :length], value)
                self.suffix[:, row].masked_fill_(edges[..., length:], value)

    def _softmax(self) -> Float[Tensor, "kv_head row group query 1"]:
        """Powers of two in place; the sum that they are yet to be divided by."""
        most = self.suffix.amax(dim=-1, keepdim=True)
        if self.prefix.shape[-1]:
            most = torch.maximum(most, self.prefix.amax(dim=-1, keepdim=True))
        self.prefix.sub_(most).exp2_()
        self.suffix.sub_(most).exp2_()
        return self.prefix.sum(dim=-1, keepdim=True) + self.suffix.sum(dim=-1, keepdim=True)

    def _replaced(self, row: int, cut: Cut) -> Float[Tensor, "kv_head group target dim"]:
        """What the targets of one row read from the sources' counterfactual values."""
        assert self.shared.replaced_values is not None
        weights = torch.cat([self.prefix[:, row], self.suffix[:, row]], dim=-1)
        weights = weights[:, :, cut.targets][..., cut.sources]
        values = self.shared.replaced_values[:, None, cut.sources]
        return weights @ values.to(weights.dtype)

    def _values(self) -> Float[Tensor, "kv_head row group query dim"]:
        dtype, wide = self.value.dtype, self.prefix.dtype
        prefix = torch.bmm(self.prefix.flatten(1, 3).to(dtype), self.shared.values)
        suffix = torch.einsum("krgqs,rksd->krgqd", self.suffix.to(dtype), self.value)
        return suffix.to(wide) + prefix.view_as(suffix).to(wide)


def _scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"], shared: Shared
) -> Float[Tensor, "batch query key"]:
    """Scaled scores in float32 or wider, times log2(e); the factors ride on the GEMM.

    A power of two is many times cheaper than one of e where scores are minus infinity.
    """
    nothing, cap = query.new_zeros(1, 1, 1), shared.softcap
    factor = shared.scaling * _BITS if cap is None else shared.scaling / cap
    scores = torch.baddbmm(nothing, query, key.transpose(1, 2), beta=0, alpha=factor)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return scores if cap is None else scores.tanh_().mul_(cap * _BITS)

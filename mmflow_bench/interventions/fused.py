"""Attention over a shared prefix and a suffix of one's own, by kernels that keep no scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# What `scaled_dot_product_attention` calls on processors. It alone tells what it has divided by, so
# that what is read of a prefix and of a suffix can be weighed together.
_kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some queries, and what they see of the prefix."""

    places: Tensor | None = None
    """Of queries among those of all rows, one row after the other; None for all."""
    seen: Tensor | None = None
    """Keys that they see; None for all."""
    mask: Float[Tensor, "#kv_head #group place key"] | None = None
    """Added to scores."""


def fused_attention(
    query: Float[Tensor, "row head query dim"],
    prefix: tuple[Float[Tensor, "kv_head prefix dim"], Float[Tensor, "kv_head prefix dim"]],
    suffix: tuple[Float[Tensor, "row kv_head query dim"], Float[Tensor, "row kv_head query dim"]],
    *,
    parts: Sequence[Part],
    mask: Float[Tensor, "#row #kv_head #group query query"],
    scaling: float,
) -> Float[Tensor, "row query head dim"]:
    """What queries read from keys and values of the prefix, which is not empty, and of the suffix.

    A query that is in none of the `parts` reads the suffix alone. `mask` is added to scores of the
    suffix. Every query sees a key.
    """
    rows, heads, queries, dim = query.shape
    kv_heads = prefix[0].shape[0]
    group = heads // kv_heads
    by_row = query.view(rows, kv_heads, group, queries, dim)
    own = mask.expand(rows, -1, group, -1, -1).flatten(2, 3)
    of_suffix, suffix_sum = _read(by_row.flatten(2, 3), *suffix, own, scaling)
    # The queries of all rows are one sequence, so that the prefix is read once.
    joined = by_row.permute(1, 2, 0, 3, 4).flatten(2, 3)
    of_prefix, prefix_sum = (
        read.unflatten(2, (rows, queries)).movedim(2, 0).flatten(2, 3)
        for read in _of_prefix(joined, prefix, parts, scaling)
    )
    share = torch.sigmoid(prefix_sum - suffix_sum)[..., None].to(query.dtype)
    read = torch.lerp(of_suffix, of_prefix, share)
    return read.view(rows, heads, queries, dim).transpose(1, 2)


def _of_prefix(
    query: Float[Tensor, "kv_head group place dim"],
    prefix: tuple[Float[Tensor, "kv_head prefix dim"], Float[Tensor, "kv_head prefix dim"]],
    parts: Sequence[Part],
    scaling: float,
) -> tuple[Float[Tensor, "kv_head group place dim"], Float[Tensor, "kv_head group place"]]:
    """What is read by all parts, and the logarithms of the sums of its weights."""
    if parts and parts[0].places is None:
        return _of_part(query, prefix, parts[0], scaling)
    read, logarithm = _nothing(query)
    for part in parts:
        of_part, sums = _of_part(query[:, :, part.places], prefix, part, scaling)
        read[:, :, part.places], logarithm[:, :, part.places] = of_part, sums
    return read, logarithm


def _of_part(
    query: Float[Tensor, "kv_head group place dim"],
    prefix: tuple[Float[Tensor, "kv_head prefix dim"], Float[Tensor, "kv_head prefix dim"]],
    part: Part,
    scaling: float,
) -> tuple[Float[Tensor, "kv_head group place dim"], Float[Tensor, "kv_head group place"]]:
    """The same of the queries of one part."""
    keys, values = (of if part.seen is None else of[:, part.seen] for of in prefix)
    mask = part.mask
    if mask is not None:
        mask = mask.expand(-1, query.shape[1], -1, -1).flatten(1, 2)[None]
    read, sums = _read(query.flatten(1, 2)[None], keys[None], values[None], mask, scaling)
    return read.view_as(query), sums.view(query.shape[:-1])


def _nothing(query: Tensor) -> tuple[Tensor, Tensor]:
    """What is read of no key."""
    # The kernel tells logarithms of this precision.
    wide = torch.promote_types(query.dtype, torch.float32)
    blind = torch.full(query.shape[:-1], -torch.inf, dtype=wide, device=query.device)
    return torch.zeros_like(query), blind


def _read(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key dim"],
    mask: Float[Tensor, "batch #head query key"] | None,
    scaling: float,
) -> tuple[Float[Tensor, "batch head query dim"], Float[Tensor, "batch head query"]]:
    """What is read, and the logarithm of the sum of its weights."""
    if not key.shape[2]:
        # The kernel ends the process.
        return _nothing(query)
    read, logarithm = _kernel(query, key, value, attn_mask=mask, scale=scaling)
    if mask is not None and bool((is_blind := mask.amax(dim=-1) == -torch.inf).any()):
        # The kernel says that such a query has divided by one.
        read = read.masked_fill(is_blind[..., None], 0.0)
        logarithm = logarithm.masked_fill(is_blind, -torch.inf)
    return read, logarithm

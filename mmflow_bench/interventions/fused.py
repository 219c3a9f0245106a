"""Attention over a shared prefix and a suffix of one's own, by kernels that keep no scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# What `scaled_dot_product_attention` calls on processors. It alone tells what it has divided by, so
# that what is read of a prefix and of a suffix can be weighed together.
_kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def fused_attention(
    query: Float[Tensor, "row head query dim"],
    prefix: tuple[Float[Tensor, "kv_head prefix dim"], Float[Tensor, "kv_head prefix dim"]],
    suffix: tuple[Float[Tensor, "row kv_head query dim"], Float[Tensor, "row kv_head query dim"]],
    *,
    mask: Float[Tensor, "#row #kv_head #group query key"],
    hides_prefix: bool,
    scaling: float,
) -> Float[Tensor, "row query head dim"]:
    """What queries read from keys and values of the prefix, which is not empty, and of the suffix.

    `mask` is added to scores; where it is nothing but zeros in the prefix, `hides_prefix` is false.
    Every query sees a key.
    """
    rows, heads, queries, dim = query.shape
    keys, values = prefix
    kv_heads, length, _ = keys.shape
    group = heads // kv_heads
    grouped = query.reshape(rows, kv_heads, group * queries, dim)
    own = mask[..., length:].expand(rows, -1, group, -1, -1).flatten(2, 3)
    of_suffix, suffix_sum = _read(grouped, *suffix, own, scaling)
    # The queries of all rows are one sequence, so that the prefix is read once.
    joined = grouped.transpose(0, 1).flatten(1, 2)[None]
    common = mask[..., :length].expand(rows, -1, group, -1, -1).transpose(0, 1)
    hidden = common.flatten(1, 3)[None] if hides_prefix else None
    of_prefix, prefix_sum = _read(joined, keys[None], values[None], hidden, scaling)
    by_row = (kv_heads, rows, group * queries)
    of_prefix = of_prefix.view(*by_row, dim).transpose(0, 1)
    prefix_sum = prefix_sum.view(by_row).transpose(0, 1)
    share = torch.sigmoid(prefix_sum - suffix_sum)[..., None].to(query.dtype)
    read = torch.lerp(of_suffix, of_prefix, share)
    return read.view(rows, heads, queries, dim).transpose(1, 2)


def _read(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key dim"],
    mask: Float[Tensor, "batch #head query key"] | None,
    scaling: float,
) -> tuple[Float[Tensor, "batch head query dim"], Float[Tensor, "batch head query"]]:
    """What is read, and the logarithm of the sum of its weights."""
    read, logarithm = _kernel(query, key, value, attn_mask=mask, scale=scaling)
    if mask is not None and bool((is_blind := mask.amax(dim=-1) == -torch.inf).any()):
        # The kernel says that such a query has divided by one.
        read = read.masked_fill(is_blind[..., None], 0.0)
        logarithm = logarithm.masked_fill(is_blind, -torch.inf)
    return read, logarithm

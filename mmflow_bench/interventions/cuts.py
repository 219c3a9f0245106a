"""What is cut in the rows of a batch, and what that leaves of keys to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mmflow_bench.interventions.fused import Part
from mmflow_bench.interventions.knockout import Method


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The edges that one row of the batch is without."""

    edges: Bool[Tensor, "query key"]
    """True where cut; queries of the suffix, keys of prefix and suffix."""
    sources: Tensor
    """Key positions, for replaced values."""
    targets: Tensor
    """Query positions counted from the start of the suffix, for replaced values."""
    heads: tuple[int, ...] | None = None
    """Where they are cut; None for every head."""

    @cached_property
    def seen(self) -> Tensor | None:
        """Keys of the prefix that targets still see, if all see the same and less than half."""
        queries, keys = self.edges.shape
        cut = self.edges[self.targets, : keys - queries]
        seen = (~cut[0]).nonzero()[:, 0]
        is_few = 2 * len(seen) < cut.shape[1] and bool((cut == cut[0]).all())
        return seen if is_few else None

    def in_heads(self, count: int, kv_heads: int) -> Bool[Tensor, "kv_head group query key"]:
        """The edges by head, of which `count` share `kv_heads` keys and values."""
        if self.heads is None:
            return self.edges[None, None]
        is_cut = torch.zeros(count, dtype=torch.bool, device=self.edges.device)
        is_cut[list(self.heads)] = True
        return is_cut.view(kv_heads, -1, 1, 1) & self.edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all rows of a batch have in common at one layer."""

    keys: Float[Tensor, "kv_head prefix dim"]
    values: Float[Tensor, "kv_head prefix dim"]
    hidden: Bool[Tensor, "query key"]
    """True where the model's own mask hides a key of prefix or suffix from a query."""
    hides_prefix: bool
    """Whether any of that is in the prefix, as with sliding windows."""
    replaced_values: Float[Tensor, "kv_head other_key dim"] | None
    """Values of the counterfactual sample."""
    method: Method
    """What cutting means."""
    scaling: float
    """Factor on scores."""
    softcap: float | None
    """Bound that scores are squeezed into, where the family has one."""


def mask_of(
    shared: Shared, cuts: Sequence[Sequence[Cut]], query: Tensor, keys: slice
) -> Float[Tensor, "row kv_head group query key"]:
    """What is added to scores; an axis along which all is alike has length 1."""
    heads, kv_heads = query.shape[1], shared.keys.shape[0]
    by_head = (kv_heads, heads // kv_heads) if _is_by_head(cuts) else (1, 1)
    hidden = shared.hidden[:, keys]
    mask = query.new_zeros(len(cuts) if any(cuts) else 1, *by_head, *hidden.shape)
    mask.masked_fill_(hidden, -torch.inf)
    for row, of_row in enumerate(cuts):
        for cut in of_row:
            mask[row].masked_fill_(cut.in_heads(heads, kv_heads)[..., keys], -torch.inf)
    return mask


def prefix_parts(
    shared: Shared,
    cuts: Sequence[Sequence[Cut]],
    query: Tensor,
    asked: Sequence[Sequence[int] | None],
) -> list[Part]:
    """Queries by what they see of the prefix: the same few keys, what a mask leaves, or all.

    The rest of the prefix is not looked at for those that see a few, and none of it for those that
    are not `asked` of a row; None asks all.
    """
    length, queries = shared.keys.shape[1], query.shape[2]
    if shared.hides_prefix or _is_by_head(cuts):
        mask = mask_of(shared, cuts, query, slice(length)).expand(len(cuts), -1, -1, -1, -1)
        return [Part(mask=mask.permute(1, 2, 0, 3, 4).flatten(2, 3))]
    is_whole = torch.zeros(len(cuts), queries, dtype=torch.bool)
    for is_asked, positions in zip(is_whole, asked, strict=True):
        is_asked[slice(None) if positions is None else list(positions)] = True
    is_whole = is_whole.flatten()
    few: dict[int, tuple[Cut, list[int]]] = {}
    masked: dict[int, list[Cut]] = {}
    for row, of_row in enumerate(cuts):
        for cut in of_row:
            placed = row * queries + cut.targets
            places = placed[is_whole[placed]].tolist()
            if places and cut.seen is not None and len(of_row) == 1:
                few.setdefault(id(cut), (cut, []))[1].extend(places)
                continue
            for place in places:
                masked.setdefault(place, []).append(cut)
    parts = []
    for cut, places in few.values():
        parts.append(Part(places=torch.tensor(places), seen=cut.seen))
        is_whole[places] = False
    if masked:
        mask = query.new_zeros(len(masked), length)
        for row, (place, of_place) in zip(mask, masked.items(), strict=True):
            for cut in of_place:
                row.masked_fill_(cut.edges[place % queries, :length], -torch.inf)
        parts.append(Part(places=torch.tensor([*masked]), mask=mask[None, None]))
        is_whole[[*masked]] = False
    if is_whole.all():
        return [Part()]
    if is_whole.any():
        parts.append(Part(places=is_whole.nonzero()[:, 0]))
    return parts


def _is_by_head(cuts: Sequence[Sequence[Cut]]) -> bool:
    return any(cut.heads is not None for of_row in cuts for cut in of_row)

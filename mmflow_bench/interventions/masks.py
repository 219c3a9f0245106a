"""Attention edges as boolean matrices, and what may be cut from them.

`visible[query, key]` says that information may flow from the key's position to the query's. A
knockout takes edges away; it never adds any.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Bool
from torch import Tensor

from mmflow_bench.errors import KnockoutError


def cut_edges(
    length: int,
    *,
    sources: Collection[int],
    targets: Collection[int],
    spares_self: bool = False,
) -> Bool[Tensor, "query key"]:
    """Every edge from a source position to a target position; with `spares_self` to another one."""
    is_source, is_target = torch.zeros(2, length, dtype=torch.bool)
    is_source[list(sources)] = True
    is_target[list(targets)] = True
    edges = torch.logical_and(is_target[:, None], is_source)
    return edges.fill_diagonal_(False) if spares_self else edges


def without_edges(
    visible: Bool[Tensor, "query key"],
    *,
    sources: Collection[int],
    targets: Collection[int],
    spares_self: bool = False,
) -> Bool[Tensor, "query key"]:
    """`visible` minus every edge from a source position to a target position.

    Information flows from source to target, so a *source* is a key and a *target* a query. Edges
    that are not there anyway may be named: cutting them does nothing.

    Raises:
        KnockoutError: A target would be left with no key at all. Softmax over an empty row is
            undefined, and an additive mask turns it into uniform attention over every position.
    """
    cut = cut_edges(visible.shape[-1], sources=sources, targets=targets, spares_self=spares_self)
    return left_without(visible, cut, sources=sources)


def left_without(
    visible: Bool[Tensor, "query key"],
    cut: Bool[Tensor, "query key"],
    *,
    sources: Collection[int],
) -> Bool[Tensor, "query key"]:
    """`visible` minus the edges of `cut`, which come from `sources`; raises as `without_edges`."""
    left = visible & ~cut.to(visible.device)
    blind = (visible.any(dim=-1) & ~left.any(dim=-1)).nonzero().flatten().tolist()
    if blind:
        raise KnockoutError(
            f"at least one key left for every target, got none for the targets {_some(blind)} "
            f"without the sources {_some(sorted(sources))}; leave out these targets, or keep one "
            "of their keys"
        )
    return left


def _some(positions: list[int]) -> str:
    if len(positions) <= 8:
        return ", ".join(map(str, positions))
    return f"{positions[0]}, {positions[1]}, ... {positions[-1]} ({len(positions)} positions)"

"""Which interventions in a sample need computing, what they cut, and from which position on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Intervention, Knockout, Method, Module, Skip
from mmflow_bench.interventions.masks import cut_edges, left_without
from mmflow_bench.interventions.recording import CleanPass

_Edges = tuple[tuple[int, ...], tuple[int, ...], bool]
"""Sources, targets, and whether a position that is both still attends to itself."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutEdges:
    """What a knockout does in each of its layers."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    heads: tuple[int, ...] | None
    edges: Bool[Tensor, "target key"]
    """Those of each target. Shared by all that cut the same edges, in whichever heads."""

    def among(self, queries: range) -> Bool[Tensor, "query key"]:
        """The edges of a range of positions that holds the targets, and of all keys."""
        whole = self.edges.new_zeros(len(queries), self.edges.shape[1])
        whole[[target - queries.start for target in self.targets]] = self.edges
        return whole


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skipped:
    """What a skip does in each of its layers."""

    module: Module
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An intervention that has an effect: what it does, and in which layers."""

    intervention: Intervention
    parts: tuple[tuple[range, CutEdges | Skipped], ...]
    """Windows differ only in their layers, so that they share what they do."""

    @property
    def first_layer(self) -> int:
        return min((layers.start for layers, _ in self.parts), default=0)

    def by_layer(self) -> Mapping[int, tuple[CutEdges | Skipped, ...]]:
        """What it does in each layer in which it does something."""
        found: dict[int, tuple[CutEdges | Skipped, ...]] = {}
        for layers, does in self.parts:
            for layer in layers:
                found[layer] = (*found.get(layer, ()), does)
        return found


def joined(
    placed: Iterable[tuple[int, Row]], *, length: int, layers: int
) -> Mapping[int, Sequence[Row]]:
    """Rows by the position from which on they are computed together, out of that of each.

    Every pass computes the clean row too, so that few rows that begin late go with those that
    begin earlier, where that costs fewer positions.
    """
    groups: dict[int, list[Row]] = {}
    for start, row in placed:
        groups.setdefault(start, []).append(row)
    last = None
    for start in sorted(groups):
        rows = groups[start]
        if last is not None:
            further = sum(layers - row.first_layer for row in rows) * (start - last)
            if further < layers * (length - start):
                groups[last] += groups.pop(start)
                continue
        last = start
    return groups


@dataclass(frozen=True)
class Planner:
    """Which interventions in one sample need computing, and from which position on."""

    clean: CleanPass
    method: Method
    counterfactual: CleanPass | None
    heads: int
    """Attention heads of a layer."""
    _edges: dict[_Edges, Bool[Tensor, "target key"]] = field(default_factory=dict)
    _cuts: dict[tuple[_Edges, tuple[int, ...] | None], CutEdges] = field(default_factory=dict)
    _skips: dict[tuple[Module, tuple[int, ...]], Skipped] = field(default_factory=dict)
    _bites: dict[tuple[int, int], bool] = field(default_factory=dict)
    _seeing: set[tuple[frozenset[int], int]] = field(default_factory=set)

    def row(self, intervention: Intervention) -> Row | None:
        """The intervention with what it does, or None where the clean states are the answer.

        Raises:
            KnockoutError: It does not fit the sample, or leaves a query without keys.
        """
        layers = len(self.clean.visible)
        intervention.check(length=self.clean.length, layers=layers, heads=self.heads)
        if self.counterfactual is not None:
            self._check_donor(intervention)
        parts = [part for part in intervention.parts if part.changes]
        row = Row(
            intervention=intervention,
            parts=tuple((part.layers, self._does(part)) for part in parts),
        )
        self._check_sight(row)
        return row if any(self._has_effect(part) for part in parts) else None

    def _does(self, part: Knockout | Skip) -> CutEdges | Skipped:
        if isinstance(part, Skip):
            same = (part.module, part.positions)
            return self._skips.setdefault(
                same, Skipped(module=part.module, positions=part.positions)
            )
        edges = (part.sources, part.targets, part.spares_self)
        if (edges, part.heads) not in self._cuts:
            self._cuts[edges, part.heads] = CutEdges(
                sources=part.sources,
                targets=part.targets,
                heads=part.heads,
                edges=self._matrix(edges),
            )
        return self._cuts[edges, part.heads]

    def _matrix(self, edges: _Edges) -> Bool[Tensor, "target key"]:
        if edges not in self._edges:
            sources, targets, spares_self = edges
            cut = cut_edges(
                self.clean.length, sources=sources, targets=targets, spares_self=spares_self
            )
            self._edges[edges] = cut[list(targets)].to(self.clean.embeddings.device)
        return self._edges[edges]

    def _has_effect(self, part: Knockout | Skip) -> bool:
        # Without sources it goes through all the same, to measure the noise of the instrument.
        if isinstance(part, Skip) or not part.sources:
            return True
        does = self._does(part)
        assert isinstance(does, CutEdges)
        return any(
            self._bite(does, mask)
            for mask in {id(self.clean.visible[layer]) for layer in part.layers}
        )

    def _bite(self, cut: CutEdges, mask: int) -> bool:
        """Whether a knockout takes away an edge of this mask."""
        key = (id(cut.edges), mask)
        if key not in self._bites:
            self._bites[key] = bool((self._masks[mask][list(cut.targets)] & cut.edges).any())
        return self._bites[key]

    def _check_sight(self, row: Row) -> None:
        """Refuse to blind a query, by all that is cut in a layer together."""
        if self.method is not Method.MASKED:
            return
        for layer, done in row.by_layer().items():
            cuts = [does for does in done if isinstance(does, CutEdges)]
            for head in {None, *(head for cut in cuts for head in cut.heads or ())}:
                of_head = [cut for cut in cuts if cut.heads is None or head in cut.heads]
                self._check_head(of_head, self.clean.visible[layer])

    def _check_head(self, cuts: list[CutEdges], visible: Bool[Tensor, "query key"]) -> None:
        """Refuse to blind a query of one head; what many heads are without is looked at once."""
        key = (frozenset(id(cut.edges) for cut in cuts), id(visible))
        if key not in self._seeing:
            left = visible
            for cut in cuts:
                edges = cut.among(range(self.clean.length))
                left = left_without(left, edges, sources=cut.sources)
            self._seeing.add(key)

    def _check_donor(self, intervention: Intervention) -> None:
        assert self.counterfactual is not None
        (part, *others) = intervention.parts or (None,)
        if others or isinstance(part, Skip) or (part is not None and part.heads is not None):
            raise KnockoutError(
                "one knockout in every head by the counterfactual method, got "
                f"{type(intervention).__name__} with {1 + len(others)} parts; use the method "
                "masked or unnormalised"
            )
        if part is not None and part.changes:
            part.check_donor(self.counterfactual.length)

    @cached_property
    def _masks(self) -> dict[int, Bool[Tensor, "query key"]]:
        # Layers of one kind share a tensor, so its identity tells kinds apart.
        return {id(visible): visible for visible in self.clean.visible}

    @cached_property
    def starts(self) -> list[int]:
        """For every target, the last position up to it before which nothing sees it or beyond.

        That is the target itself under causal masks; models that attend in both directions inside
        an image have to be computed from the image's first position.
        """
        keys = torch.arange(self.clean.length, device=self.clean.embeddings.device)
        furthest = torch.stack([(mask * keys).amax(-1) for mask in self._masks.values()]).amax(0)
        reach = furthest.cummax(0).values
        is_boundary = torch.cat([keys[:1] == 0, reach[:-1] < keys[1:]])
        starts: list[int] = (keys * is_boundary).cummax(0).values.tolist()
        return starts

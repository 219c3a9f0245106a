"""Which knockouts of a sample need computing, which edges they cut, and from which position on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.masks import cut_edges, without_edges
from mmflow_bench.interventions.recording import CleanPass

_Edges = tuple[tuple[int, ...], tuple[int, ...]]
"""Sources and targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A knockout that has an effect, with the edges it cuts."""

    knockout: Knockout
    edges: Bool[Tensor, "query key"]


@dataclass(frozen=True)
class Planner:
    """Which knockouts of one sample need computing, and from which position on."""

    clean: CleanPass
    method: Method
    counterfactual: CleanPass | None
    _cuts: dict[_Edges, Bool[Tensor, "query key"]] = field(default_factory=dict)
    _bites: dict[tuple[_Edges, int], bool] = field(default_factory=dict)

    def row(self, knockout: Knockout) -> Row | None:
        """The knockout with its edges, or None where the clean logits are the answer."""
        knockout.check(length=self.clean.length, layers=len(self.clean.visible))
        if not knockout.targets or not knockout.layers:
            return None
        if self.counterfactual is not None:
            knockout.check_donor(self.counterfactual.length)
        edges = (knockout.sources, knockout.targets)
        # Windows differ only in their layers: what they cut is worked out once for all of them.
        if edges not in self._cuts:
            cut = cut_edges(self.clean.length, sources=edges[0], targets=edges[1])
            self._cuts[edges] = cut.to(self.clean.embeddings.device)
        masks = {id(self.clean.visible[layer]) for layer in knockout.layers}
        bites = [self._bite(edges, mask) for mask in masks]
        # Without sources it goes through all the same, to measure the noise of the instrument.
        if knockout.sources and not any(bites):
            return None
        return Row(knockout=knockout, edges=self._cuts[edges])

    def _bite(self, edges: _Edges, mask: int) -> bool:
        """Whether a knockout takes away an edge of this mask; refuses to blind a query."""
        if (edges, mask) not in self._bites:
            visible = self._masks[mask]
            if self.method is Method.MASKED:
                without_edges(visible, sources=edges[0], targets=edges[1])
            self._bites[edges, mask] = bool((visible & self._cuts[edges]).any())
        return self._bites[edges, mask]

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

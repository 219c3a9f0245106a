"""Which knockouts of a sample need computing, which edges they cut, and from which position on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool
from torch import Tensor

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.masks import cut_edges, without_edges
from mmflow_bench.interventions.recording import CleanPass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A knockout that has an effect, with the edges it cuts."""

    knockout: Knockout
    edges: Bool[Tensor, "query key"]


class Planner:
    """Which knockouts of one sample need computing, and from which position on."""

    def __init__(self, clean: CleanPass, method: Method, counterfactual: CleanPass | None) -> None:
        """Keep what knockouts are checked against."""
        self.clean = clean
        self.method = method
        self.counterfactual = counterfactual
        self._masks = {id(visible): visible for visible in clean.visible}
        self._cuts: dict[tuple[tuple[int, ...], tuple[int, ...]], Bool[Tensor, "query key"]] = {}
        self._bites: dict[tuple[tuple[int, ...], tuple[int, ...], int], bool] = {}
        self._starts: dict[int, int] = {}

    def row(self, knockout: Knockout) -> Row | None:
        """The knockout with its edges, or None where the clean logits are the answer."""
        knockout.check(length=self.clean.length, layers=len(self.clean.visible))
        if not knockout.targets or not knockout.layers:
            return None
        self._check_counterfactual(knockout)
        edges = (knockout.sources, knockout.targets)
        if edges not in self._cuts:
            self._cuts[edges] = cut_edges(
                self.clean.length, sources=knockout.sources, targets=knockout.targets
            ).to(self.clean.embeddings.device)
        masks = {id(self.clean.visible[layer]) for layer in knockout.layers}
        bites = [self._bite(*edges, mask) for mask in masks]
        if knockout.sources and not any(bites):
            return None
        return Row(knockout=knockout, edges=self._cuts[edges])

    def _bite(self, sources: tuple[int, ...], targets: tuple[int, ...], mask: int) -> bool:
        """Whether the knockout takes away an edge of this mask; refuses to blind a query."""
        if (sources, targets, mask) not in self._bites:
            visible = self._masks[mask]
            if self.method is Method.MASKED:
                without_edges(visible, sources=sources, targets=targets)
            bites = bool((visible & self._cuts[sources, targets]).any())
            self._bites[sources, targets, mask] = bites
        return self._bites[sources, targets, mask]

    def _check_counterfactual(self, knockout: Knockout) -> None:
        if self.counterfactual is None or not knockout.sources:
            return
        if max(knockout.sources) >= self.counterfactual.length:
            raise KnockoutError(
                "a counterfactual sample that reaches as far as the sources, got "
                f"{self.counterfactual.length} positions for source {max(knockout.sources)}; use "
                "the same question with another image of the same size"
            )

    def start(self, target: int) -> int:
        """The last position up to `target` before which nothing sees it or anything later.

        That is `target` itself under causal masks; models that attend in both directions inside
        an image have to be computed from the image's first position.
        """
        if target not in self._starts:
            self._starts[target] = int(self._boundaries[: target + 1].nonzero()[-1])
        return self._starts[target]

    @cached_property
    def _boundaries(self) -> Bool[Tensor, "position"]:
        """Where everything before sees nothing from here on; always true of the first position."""
        length = self.clean.length
        keys = torch.arange(length, device=self.clean.embeddings.device)
        furthest = torch.stack([(mask * keys).amax(-1) for mask in self._masks.values()]).amax(0)
        reach = furthest.cummax(0).values
        return torch.cat([keys[:1] == 0, reach[:-1] < keys[1:]])

"""All knockouts of a sample from one clean pass: a growing batch of suffixes over a shared prefix.

A knockout whose targets start at position q0 changes no hidden state before q0, because attention
is causal, and none below the first layer of its window. So only positions from q0 on are computed,
over the clean pass's keys and values of the prefix; and a knockout has a row of the batch only
where it differs: before its window begins, and wherever it has left no trace, it is the clean row,
and windows of one edge share a row until one of them ends. Nothing is approximated:
`definition.py` is the same number by one full forward pass each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError, NotFiniteError
from mmflow_bench.interventions.attention import (
    Cut,
    Shared,
    attend,
    attention_function,
    check_arguments,
)
from mmflow_bench.interventions.clean import last_logits, layer_hooks
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.planning import Planner, Row
from mmflow_bench.interventions.recording import CleanPass

See = Callable[[int, int, Sequence[Knockout], Tensor, Tensor], None]
"""Called in every layer with the layer, the first position of the suffix, knockouts, and their keys
and values there as (knockout, kv_head, position, dim)."""
MOST_POSITIONS = 2**15
"""Positions of all rows of a suffix pass together, however much memory there is."""

# How far the clean row of a suffix may be from the clean pass, in probability. Rounding stays far
# below; wrong positions or masks go far beyond.
_CLEAN_ROW_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3}
_HALF_TOLERANCE = 0.15
# A hidden state that is this much of a rounding error from the clean one is the clean one: it moves
# the result less than the order of a sum does.
_TRACE = 2**-7


@torch.inference_mode()
def knockout_logits(
    checkpoint: Instrumentable,
    clean: CleanPass,
    knockouts: Sequence[Knockout],
    *,
    method: Method = Method.MASKED,
    counterfactual: CleanPass | None = None,
    max_rows: int = 256,
    max_positions: int = MOST_POSITIONS,
    see: See | None = None,
) -> Float[Tensor, "knockout vocab"]:
    """Logits of the last position under each knockout, in the order given.

    A knockout that names only edges that the model's own mask hides anyway, or no target, gives
    the clean logits exactly. One with targets and no sources goes through the suffix pass like
    any other: its distance from the clean logits is the noise of the instrument.

    Equal knockouts are computed once. No more than `max_rows` of them go through the decoder
    together, and fewer where suffixes are long: `max_positions` in all. For the counterfactual
    method, values come from the clean pass `counterfactual`. Of what goes through the suffix pass
    `see` is told keys and values, for whoever goes on from there.

    Raises:
        KnockoutError: A knockout does not fit the sample or leaves a query without keys; the
            counterfactual pass is missing or too short; or the decoder's layers do more than the
            engine accounts for.
        NotFiniteError: Even without a knockout the logits overflow; under one they may.
    """
    if (method is Method.COUNTERFACTUAL) != (counterfactual is not None):
        raise KnockoutError(
            "a counterfactual clean pass with the counterfactual method and with no other, got "
            f"{'one' if counterfactual else 'none'} (method {method})"
        )
    if not knockouts:
        return clean.logits.new_empty(0, clean.logits.shape[0])
    planner = Planner(clean, method, counterfactual)
    results = {knockout: clean.logits for knockout in knockouts}
    groups: dict[int, list[Row]] = {}
    for knockout in results:
        if (row := planner.row(knockout)) is not None:
            groups.setdefault(planner.starts[min(knockout.targets)], []).append(row)
    for start, rows in groups.items():
        rows.sort(key=lambda row: row.knockout.layers.start)
        step = max(1, min(max_rows, max_positions // (clean.length - start)))
        for first in range(0, len(rows), step):
            chunk = rows[first : first + step]
            run = _SuffixPass(checkpoint, clean, start, chunk, method, counterfactual, see)
            for row, logits in zip(chunk, run.logits(), strict=True):
                results[row.knockout] = logits
    return torch.stack([results[knockout] for knockout in knockouts])


def probability_distance(one: Float[Tensor, "vocab"], other: Float[Tensor, "vocab"]) -> float:
    """The largest difference of any token's probability; NaN where one is not a number."""
    return float((one.softmax(dim=-1) - other.softmax(dim=-1)).abs().max())


@dataclass
class _SuffixPass:
    """One forward pass of the positions from `start` on, over the rows that differ at each layer.

    Row 0 of the batch is the clean one.
    """

    checkpoint: Instrumentable
    clean: CleanPass
    start: int
    rows: Sequence[Row]
    """Sorted by the first layer of their windows."""
    method: Method
    counterfactual: CleanPass | None
    see: See | None
    layer: int = -1
    """That the pass has reached."""
    _hidden: dict[tuple[int, torch.device], tuple[Tensor, bool]] = field(default_factory=dict)
    _cuts: dict[tuple[int, torch.device], Cut] = field(default_factory=dict)
    _places: list[int] = field(init=False)
    """Of every row, its place in the batch."""
    _cut_places: dict[int, Row] = field(default_factory=dict)
    """Places in the batch that are cut in this layer, each with a row that says how."""

    def __post_init__(self) -> None:
        self._places = [0] * len(self.rows)

    def logits(self) -> Float[Tensor, "knockout vocab"]:
        """Logits of the last position of every row that has a knockout.

        Raises:
            KnockoutError: The row without knockout does not reproduce the clean pass.
            NotFiniteError: Its logits overflow.
        """
        parts = self.checkpoint.parts
        inputs = {
            "inputs_embeds": self.clean.embeddings[None, self.start :],
            "position_ids": self.clean.positions[..., None, self.start :],
        }
        with (
            attention_function(parts.decoder, self._attend, with_masks=False),
            layer_hooks(parts, self._enter),
        ):
            logits = last_logits(self.checkpoint, inputs)
        self._check_clean_row(logits[0])
        return logits[self._places]

    def _cut(self, row: Row, device: torch.device) -> Cut:
        """What a row is without; made once for all rows that share their edges."""
        key = (id(row.edges), device)
        if key not in self._cuts:
            sources, targets = (
                torch.tensor(positions, dtype=torch.long, device=device)
                for positions in (row.knockout.sources, row.knockout.targets)
            )
            edges = row.edges[self.start :].to(device)
            self._cuts[key] = Cut(edges=edges, sources=sources, targets=targets - self.start)
        return self._cuts[key]

    def _enter(
        self, layer: int, hidden: Float[Tensor, "row position hidden"]
    ) -> Float[Tensor, "different position hidden"]:
        """One row for all knockouts that have the same state so far and the same cut here."""
        self.layer = layer
        if layer == 0:
            # What the clean pass saw, whatever the model made of `inputs_embeds` on the way here.
            hidden = self.clean.embeddings[None, self.start :]
        has_trace = _traces(hidden)
        places: dict[tuple[int, int | None], int] = {(0, None): 0}
        self._cut_places = {}
        for i, row in enumerate(self.rows):
            before = self._places[i] if has_trace[self._places[i]] else 0
            is_cut = layer in row.knockout.layers
            place = places.setdefault((before, id(row.edges) if is_cut else None), len(places))
            self._places[i] = place
            if is_cut:
                self._cut_places[place] = row
        kept = [before for before, _ in places]
        return hidden if kept == list(range(len(hidden))) else hidden[kept]

    def _attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        **arguments: object,
    ) -> tuple[Tensor, None]:
        check_arguments(module, query, key, arguments)
        cuts = {place: self._cut(row, query.device) for place, row in self._cut_places.items()}
        if self.see is not None:
            knockouts = [row.knockout for row in self.rows]
            states = key[self._places], value[self._places]
            self.see(self.layer, self.start, knockouts, *states)
        hidden, hides_prefix = self._hidden_on(query.device)
        donor = self.counterfactual
        shared = Shared(
            keys=self.clean.keys[self.layer][:, : self.start],
            values=self.clean.values[self.layer][:, : self.start],
            hidden=hidden,
            hides_prefix=hides_prefix,
            replaced_values=donor.values[self.layer] if donor else None,
            method=self.method,
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            softcap=softcap,
        )
        return attend(query, key, value, shared=shared, cuts=cuts), None

    def _hidden_on(self, device: torch.device) -> tuple[Bool[Tensor, "query key"], bool]:
        """What the layer's own mask hides from the suffix; whether any of that is in the prefix."""
        visible = self.clean.visible[self.layer]
        key = (id(visible), device)
        if key not in self._hidden:
            hidden = ~visible[self.start :].to(device)
            self._hidden[key] = hidden, bool(hidden[:, : self.start].any())
        return self._hidden[key]

    def _check_clean_row(self, logits: Float[Tensor, "vocab"]) -> None:
        # It is cut nowhere, so it must be the clean pass again.
        difference = probability_distance(self.clean.logits, logits)
        if math.isnan(difference):
            raise NotFiniteError(f"a suffix pass from position {self.start}")
        tolerance = _CLEAN_ROW_TOLERANCE.get(self.clean.embeddings.dtype, _HALF_TOLERANCE)
        if difference > tolerance:
            raise KnockoutError(
                f"a suffix pass that reproduces the clean pass, got probabilities {difference:.2g} "
                f"apart (family {self.checkpoint.parts.name}, from position {self.start}); this "
                "kind of decoder cannot be measured"
            )


def _traces(hidden: Float[Tensor, "row position hidden"]) -> list[bool]:
    """Which rows differ from the first one by more than a trace, at any position."""
    clean = hidden[0]
    precise = torch.promote_types(hidden.dtype, torch.float32)
    size = torch.linalg.vector_norm(clean, dim=-1, dtype=precise) / clean.shape[-1] ** 0.5
    # Half precision rounds away more than may be passed over.
    rounding = torch.finfo(precise).eps * size
    is_same = (hidden - clean).abs().amax(dim=-1) <= _TRACE * rounding
    # Written so that NaN is a trace.
    traces: list[bool] = (~is_same.all(dim=-1)).tolist()
    return traces

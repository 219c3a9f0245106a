"""One pass of the last positions of a sequence, over all rows that differ from the clean one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable, module_of
from mmflow_bench.errors import KnockoutError, NotFiniteError
from mmflow_bench.interventions.attending import attend
from mmflow_bench.interventions.attention import attention_function, check_arguments
from mmflow_bench.interventions.batch import Batch
from mmflow_bench.interventions.clean import last_logits, layer_hooks, norm_hook
from mmflow_bench.interventions.cuts import Cut, Shared
from mmflow_bench.interventions.knockout import Intervention, Method, Module
from mmflow_bench.interventions.planning import CutEdges, Row, Skipped
from mmflow_bench.interventions.portions import in_portions, positions_at_work, sparing
from mmflow_bench.interventions.readout import Readout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.traces import traces

Read = Callable[[Float[Tensor, "row position hidden"]], Tensor]
"""What is kept of final hidden states, after the norm: one entry for each row."""
See = Callable[[int, int, Sequence[Intervention], Tensor, Tensor], None]
"""Called in every layer with the layer, the first position of the suffix, interventions, and their
keys and values there as (intervention, kv_head, position, dim)."""

_Told = TypeVar("_Told")

# How far the clean row of a suffix may be from the clean pass, in probability. Rounding stays far
# below; wrong positions or masks go far beyond.
_CLEAN_ROW_TOLERANCE = {torch.float64: 1e-3, torch.float32: 1e-3}
_HALF_TOLERANCE = 0.15


def probability_distance(one: Float[Tensor, "vocab"], other: Float[Tensor, "vocab"]) -> float:
    """The largest difference of any token's probability; NaN where one is not a number."""
    return float((one.softmax(dim=-1) - other.softmax(dim=-1)).abs().max())


@dataclass
class SuffixPass:
    """One forward pass of the positions from `start` on, over the rows that differ at each layer.

    Row 0 of the batch is the clean one.

    Raises, where it is run:
        KnockoutError: The row without an intervention does not reproduce the clean pass.
        NotFiniteError: Its logits overflow.
    """

    checkpoint: Instrumentable
    clean: CleanPass
    start: int
    rows: Sequence[Row]
    """Sorted by the first layer of their windows."""
    method: Method
    counterfactual: CleanPass | None
    max_positions: int
    """Of all rows, that a layer takes at once at most."""
    see: See | None = None
    layer: int = -1
    """That the pass has reached."""
    _states: Tensor | None = None
    """Of all rows that there will be, where they grow in place."""
    _grown: Tensor | None = None
    """The part of it that a layer was given last."""
    _first: int = 0
    """Row of the batch with which the portion begins that the layer is at."""
    _hidden: dict[tuple[int, torch.device], tuple[Tensor, bool]] = field(default_factory=dict)
    _cuts: dict[tuple[int, torch.device], Cut] = field(default_factory=dict)
    _batch: Batch = field(init=False)
    _read: list[int] = field(default_factory=list)
    """Positions of which the last states are read."""
    _clean_read: Tensor | None = None
    """What the clean row's queries have read in this layer, where a row begins to differ."""

    def __post_init__(self) -> None:
        self._batch = Batch(self.rows)

    def logits(self, readout: Readout) -> Iterator[Tensor]:
        """What is kept of the logits of the last position, intervention by intervention."""
        kept = readout.read(self._run([-1]))
        return (kept[place] for place in self._batch.places)

    def readings(
        self, positions: Sequence[int], read: Read, readout: Readout
    ) -> tuple[Tensor, Tensor]:
        """Of the logits, and what `read` keeps of final hidden states from `start` on.

        Both have one entry for each intervention.
        """
        kept: list[Tensor] = []
        own = [position - self.start for position in positions]

        def see(_: Tensor, normed: Float[Tensor, "row position hidden"]) -> None:
            kept.append(read(normed[:, own]))

        with norm_hook(self.checkpoint.parts, see):
            logits = readout.read(self._run([*own, -1]))
        return logits[self._batch.places], kept[-1][self._batch.places]

    def _run(self, read: Sequence[int]) -> Float[Tensor, "row vocab"]:
        """The logits of the batch; of the last states, those at `read` are right."""
        parts = self.checkpoint.parts
        self._read = sorted({at % (self.clean.length - self.start) for at in read})
        at_work = positions_at_work(self.checkpoint, self.clean.length)
        inputs = {
            "inputs_embeds": self.clean.embeddings[None, self.start :],
            "position_ids": self.clean.positions[..., None, self.start :],
        }
        with (
            attention_function(parts.decoder, self._attend, with_masks=False),
            layer_hooks(parts, self._enter),
            in_portions(parts, min(self.max_positions, at_work), self._begin),
            sparing(parts, self._needed),
            ExitStack() as hooks,
        ):
            self._hook_modules(hooks)
            logits = last_logits(self.checkpoint, inputs)
        self._check_clean_row(logits[0])
        return logits

    def _begin(self, row: int) -> None:
        self._first = row

    def _asked(self, rows: int) -> dict[int, Sequence[int]]:
        """Where something is computed in rows of the portion at hand; everywhere in the others.

        Of the last layer's nothing is read elsewhere. What is cut in a row that was clean changes
        the targets alone: at all other positions it is the clean row still.
        """
        if self.layer == len(self.clean.keys) - 1:
            return dict.fromkeys(range(rows), self._read)
        return {
            row: sorted(target - self.start for target in targets)
            for row, targets in self._within(self._batch.begun, rows).items()
        }

    def _needed(self, rows: int, positions: int) -> list[int] | None:
        asked = self._asked(rows)
        if not asked:
            return None
        return [
            row * positions + position
            for row in range(rows)
            for position in asked.get(row, range(positions))
        ]

    def _hook_modules(self, hooks: ExitStack) -> None:
        """What is skipped is set to zero where the module returns it."""
        skips = {
            (does.module, layer)
            for row in self.rows
            for layers, does in row.parts
            if isinstance(does, Skipped)
            for layer in layers
        }
        for kind, layer in skips:
            module = module_of(self.checkpoint.parts.decoder_layers[layer], kind)
            hooks.enter_context(module.register_forward_hook(self._skipper(kind)))

    def _skipper(self, kind: Module) -> Callable[..., object]:
        def after(_: nn.Module, __: object, given: Tensor | tuple[Any, ...]) -> object:
            output = given if isinstance(given, Tensor) else given[0]
            # A mixture of experts may give one row for each token of the batch.
            added = output.reshape(-1, self.clean.length - self.start, output.shape[-1]).clone()
            for row, done in self._within(self._batch.done, len(added)).items():
                for does in done:
                    if isinstance(does, Skipped) and does.module is kind:
                        added[row, [at - self.start for at in does.positions]] = 0
            added = added.view_as(output)
            return added if isinstance(given, Tensor) else (added, *given[1:])

        return after

    def _within(self, told: Mapping[int, _Told], rows: int) -> dict[int, _Told]:
        """What is told of places in the batch, by the rows of this portion: there are so many."""
        own = {place - self._first: one for place, one in told.items()}
        return {row: one for row, one in own.items() if 0 <= row < rows}

    def _cut(self, does: CutEdges, device: torch.device) -> Cut:
        """What a row is without; made once for all rows that share their edges."""
        key = (id(does), device)
        if key not in self._cuts:
            sources = torch.tensor(does.sources, dtype=torch.long, device=device)
            targets = torch.tensor(does.targets, dtype=torch.long, device=device) - self.start
            edges = does.among(range(self.start, self.clean.length)).to(device)
            self._cuts[key] = Cut(edges=edges, sources=sources, targets=targets, heads=does.heads)
        return self._cuts[key]

    def _enter(
        self, layer: int, hidden: Float[Tensor, "row position hidden"]
    ) -> Float[Tensor, "different position hidden"]:
        self.layer, self._first = layer, 0
        if layer == 0:
            # What the clean pass saw, whatever the model made of `inputs_embeds` on the way here.
            hidden = self.clean.embeddings[None, self.start :]
        return self._chosen(hidden, self._batch.enter(layer, traces(hidden)))

    def _chosen(
        self, hidden: Float[Tensor, "row position hidden"], rows: Sequence[int]
    ) -> Float[Tensor, "different position hidden"]:
        """These rows of the batch; none is copied that stays where it is."""
        before = list(range(len(hidden)))
        if rows == before:
            return hidden
        if rows[: len(before)] != before:
            return hidden[rows]
        if self._states is None or self._states.device != hidden.device:
            # With the clean one, there are no more that differ.
            self._states = hidden.new_empty(len(self.rows) + 1, *hidden.shape[1:])
        states = self._states[: len(rows)]
        # Layers that take their rows in portions write over what they are given.
        if hidden is not self._grown:
            states[: len(before)] = hidden
        states[len(before) :] = hidden[rows[len(before) :]]
        self._grown = states
        return states

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
        self._show(key, value)
        cuts = {
            row: [self._cut(does, query.device) for does in done if isinstance(does, CutEdges)]
            for row, done in self._within(self._batch.done, len(query)).items()
        }
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
        asked = self._asked(len(query))
        read = attend(query, key, value, shared=shared, cuts=cuts, asked=asked)
        self._leave_clean(read, asked)
        return read, None

    def _leave_clean(
        self, read: Float[Tensor, "row query head dim"], asked: Mapping[int, Sequence[int]]
    ) -> None:
        """Beside what is cut, rows that begin to differ here read what the clean row reads."""
        if self._batch.begun and self._first == 0:
            self._clean_read = read[0].clone()
        for row in asked.keys() & self._within(self._batch.begun, len(read)):
            assert self._clean_read is not None
            others = sorted({*range(read.shape[1])}.difference(asked[row]))
            read[row, others] = self._clean_read[others]

    def _show(self, key: Tensor, value: Tensor) -> None:
        """Tell of the keys and values of this portion."""
        if self.see is None:
            return
        here = [
            (row.intervention, place - self._first)
            for row, place in zip(self.rows, self._batch.places, strict=True)
            if 0 <= place - self._first < len(key)
        ]
        if here:
            interventions, places = zip(*here, strict=True)
            states = key[list(places)], value[list(places)]
            self.see(self.layer, self.start, interventions, *states)

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

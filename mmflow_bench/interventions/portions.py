"""Decoder layers that compute less at once than they are given, or less in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable, Parts, module_of
from mmflow_bench.errors import CheckpointError

Needed = Callable[[int, int], Sequence[int] | None]
"""Of so many rows with so many positions, which follow those that the layer was given before:
places among all positions of these, in order; None is all of them."""
_Forward = Callable[..., Any]

# Hidden states, queries, keys, values and sums that are alive at one time within a layer.
_STATES_PER_POSITION = 8
# Of so little memory no machine is short, and many rows of a narrow decoder fit in.
_LITTLE = 2**25
# Sequences whose states, before and after a layer, are together about what a layer works with.
_SEQUENCES_OF_STATES = 8


def position_bytes(checkpoint: Instrumentable) -> int:
    """What one position of one row needs while a layer computes."""
    config = checkpoint.parts.text_config
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    return (_STATES_PER_POSITION * hidden + 3 * inner) * max(4, checkpoint.model.dtype.itemsize)


def positions_at_work(checkpoint: Instrumentable, length: int) -> int:
    """How many a layer takes at once: a sequence, as in a forward pass, or what is little."""
    return max(length, _LITTLE // position_bytes(checkpoint))


def positions_in_a_pass(checkpoint: Instrumentable, length: int) -> int:
    """How many of all rows go through the decoder together; of most of them there are states."""
    of_states = 2 * int(checkpoint.parts.text_config.hidden_size) * 4
    return max(_SEQUENCES_OF_STATES * length, _LITTLE // of_states)


@contextmanager
def in_portions(parts: Parts, positions: int, begin: Callable[[int], None]) -> Iterator[None]:
    """Each layer takes as many rows of its batch at once as have `positions` together, or one.

    What a layer holds while it computes is many times its states, which are overwritten where
    there are several portions. `begin(row)` is called before each with its first row. All else
    that the model hands to a layer must be the same for every row.
    """

    def portioned(forward: _Forward) -> _Forward:
        def run(hidden: Tensor, *arguments: Any, **named: Any) -> Any:
            rows = len(hidden)
            count = -(-rows // max(1, positions // hidden.shape[1]))
            given: Any = None
            for portion in range(count):
                first, after = portion * rows // count, (portion + 1) * rows // count
                begin(first)
                given = forward(hidden[first:after], *arguments, **named)
                if count > 1:
                    hidden[first:after] = _states(given)
            return given if count == 1 else _with_states(given, hidden)

        return run

    with _Replaced() as replaced:
        for layer in parts.decoder_layers:
            # Weights that are elsewhere are fetched for every call: for all rows at once.
            if not any(weight.is_meta for weight in layer.parameters()):
                replaced.forward(layer, portioned)
        yield


@contextmanager
def sparing(parts: Parts, needed: Needed, *, only_last: bool = False) -> Iterator[None]:
    """MLPs compute what is needed; elsewhere they add what they have added to the first row.

    In the last layer the same goes for queries and for what attention adds. Where the first row is
    not needed either, nothing is added. Modules that go by a name of their own compute everything.
    """
    # Of one layer at a time, since small things that are kept tear memory to pieces.
    first_row: dict[tuple[int, str], Tensor] = {}
    with _Replaced() as replaced:
        count = len(parts.decoder_layers)
        for layer in range(count - 1 if only_last else 0, count):
            for kind, module in _spared(parts, layer):
                replaced.forward(module, partial(_sparing, (layer, kind), needed, first_row))
        yield


def _spared(parts: Parts, layer: int) -> Iterator[tuple[str, nn.Module]]:
    block = parts.decoder_layers[layer]
    with suppress(CheckpointError):
        yield "mlp", module_of(block, "mlp")
    if layer == len(parts.decoder_layers) - 1:
        for kind in ("query", "output"):
            with suppress(CheckpointError):
                yield kind, module_of(module_of(block, "attention"), kind)


def _sparing(
    own: tuple[int, str],
    needed: Needed,
    first_row: dict[tuple[int, str], Tensor],
    forward: _Forward,
) -> _Forward:
    layer, _ = own

    def keep(added: Tensor) -> None:
        if any(other != layer for other, _ in first_row):
            first_row.clear()
        first_row[own] = added

    def run(hidden: Tensor, *arguments: Any, **named: Any) -> Any:
        if hidden.dim() != 3:
            return forward(hidden, *arguments, **named)
        rows, positions, _ = hidden.shape
        places = needed(rows, positions)
        if places is None:
            given = forward(hidden, *arguments, **named)
            if own not in first_row:
                keep(_states(given).view(rows, positions, -1)[0].clone())
            return given
        index = torch.tensor(places, device=hidden.device)
        given = forward(hidden.flatten(0, 1)[index][None], *arguments, **named)
        # A mixture of experts may give one row for each token of the batch.
        states = _states(given).flatten(0, -2)
        if own not in first_row:
            known = sum(place < positions for place in places)
            keep(states.new_zeros(positions, states.shape[-1]))
            first_row[own][index[:known]] = states[:known]
        whole = first_row[own].repeat(rows, 1)
        whole[index] = states
        is_flat = _states(given).dim() == 2
        return _with_states(given, whole if is_flat else whole.view(rows, positions, -1))

    return run


class _Replaced:
    """Modules whose `forward` is another one while this is open."""

    def __init__(self) -> None:
        self._before: list[tuple[nn.Module, _Forward | None]] = []

    def __enter__(self) -> _Replaced:
        return self

    def forward(self, module: nn.Module, make: Callable[[_Forward], _Forward]) -> None:
        """Give the module what `make` makes of its own."""
        # accelerate's stands where ours will, in front of that of the class.
        self._before.append((module, vars(module).get("forward")))
        module.forward = make(module.forward)

    def __exit__(self, *_: object) -> None:
        for module, own in reversed(self._before):
            if own is None:
                del module.forward
            else:
                module.forward = own


def _states(given: Any) -> Tensor:
    states: Tensor = given if isinstance(given, Tensor) else given[0]
    return states


def _with_states(given: Any, states: Tensor) -> Any:
    return states if isinstance(given, Tensor) else (states, *given[1:])

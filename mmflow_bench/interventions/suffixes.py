"""All knockouts of a sample from one clean pass: a growing batch of suffixes over a shared prefix.

A knockout whose targets start at position q0 changes no hidden state before q0, because attention
is causal, and none below the first layer of its window. So only positions from q0 on are computed,
over the clean pass's keys and values of the prefix; and a knockout has a row of the batch only
where it differs: before its window begins, and wherever it has left no trace, it is the clean row,
and windows of one edge share a row until one of them ends. The same goes for skipped modules, and
for several interventions at once. Nothing is approximated: `definition.py` is the same number by
one full forward pass each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Intervention, Method
from mmflow_bench.interventions.planning import Planner, Row, joined
from mmflow_bench.interventions.portions import positions_in_a_pass
from mmflow_bench.interventions.readout import Readout, all_logits, no_logits
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.suffix_pass import Read, See, SuffixPass

MOST_POSITIONS = 2**15
"""Positions of all rows of a suffix pass together, however much memory there is. They are fewer
where that is more than befits the sequence (`portions.positions_in_a_pass`)."""


@torch.inference_mode()
def knockout_logits(
    checkpoint: Instrumentable,
    clean: CleanPass,
    knockouts: Sequence[Intervention],
    *,
    method: Method = Method.MASKED,
    counterfactual: CleanPass | None = None,
    max_rows: int = 1024,
    max_positions: int = MOST_POSITIONS,
    see: See | None = None,
    readout: Readout | None = None,
) -> Float[Tensor, "knockout *kept"]:
    """Logits of the last position under each knockout or other intervention, in the order given.

    A knockout that names only edges that the model's own mask hides anyway, or no target, gives
    the clean logits exactly. One with targets and no sources goes through the suffix pass like
    any other: its distance from the clean logits is the noise of the instrument.

    Equal ones are computed once. No more than `max_rows` of them go through the decoder together,
    and fewer where suffixes are long: `max_positions` in all. For the counterfactual method, values
    come from the clean pass `counterfactual`. Of what goes through the suffix pass `see` is told
    keys and values, for whoever goes on from there. With a `readout` what it keeps of logits takes
    their place; what it has of an intervention is not computed again, and the rest is added to it.

    Raises:
        KnockoutError: A knockout does not fit the sample or leaves a query without keys; the
            counterfactual pass is missing or too short, or several are knocked out by it at once;
            or the decoder's layers do more than the engine accounts for.
        NotFiniteError: Even without a knockout the logits overflow; under one they may.
    """
    if (method is Method.COUNTERFACTUAL) != (counterfactual is not None):
        raise KnockoutError(
            "a counterfactual clean pass with the counterfactual method and with no other, got "
            f"{'one' if counterfactual else 'none'} (method {method})"
        )
    readout = readout or all_logits()
    unchanged = readout.read(clean.logits[None])
    if not knockouts:
        return unchanged[:0]
    planner = Planner(clean, method, counterfactual, _heads(checkpoint))
    places = {one: place for place, one in enumerate(dict.fromkeys(knockouts))}
    # Written to where something is known, so that passes are done before it takes memory.
    found = unchanged.new_empty(len(places), *unchanged.shape[1:])
    placed = []
    for one, place in places.items():
        row = None if one in readout.kept else planner.row(one)
        if row is None:
            found[place] = readout.kept.get(one, unchanged[0])
        else:
            placed.append((planner.starts[min(one.changes)], row))
    most = min(max_positions, positions_in_a_pass(checkpoint, clean.length))
    for start, rows in _passes(placed, clean, max_rows, most):
        run = SuffixPass(checkpoint, clean, start, rows, method, counterfactual, most, see)
        for row, kept in zip(rows, run.logits(readout), strict=True):
            found[places[row.intervention]] = kept
    readout.kept.update(zip(places, found, strict=True))
    is_each_once = len(places) == len(knockouts)
    return found if is_each_once else found[[places[one] for one in knockouts]]


@torch.inference_mode()
def knockout_readings(
    checkpoint: Instrumentable,
    clean: CleanPass,
    interventions: Sequence[Intervention],
    *,
    positions: Sequence[int],
    read: Read,
    max_rows: int = 1024,
    max_positions: int = MOST_POSITIONS,
    readout: Readout | None = None,
) -> Tensor:
    """What `read` keeps of the final hidden states of `positions` under each intervention.

    By the masked method, in the order given; of one that changes nothing, such as a knockout with
    no target, the clean states. `read` is given the states of some rows after the final norm, of
    shape (row, position, hidden), and returns a tensor with one entry for each row. To `readout` is
    added what it keeps of logits of the last position, which such a pass has too.

    Raises:
        KnockoutError: As `knockout_logits`; or there is nothing to read.
        NotFiniteError: Even without an intervention the logits overflow.
    """
    if not interventions or not positions:
        raise KnockoutError("interventions and positions to read, got none of one of them")
    planner = Planner(clean, Method.MASKED, None, _heads(checkpoint))
    # The state of a position that comes before all that is changed is the clean one.
    placed = []
    for each in dict.fromkeys(interventions):
        row = planner.row(each) or Row(intervention=each, parts=())
        first = min([*positions, *(each.changes if row.parts else ())])
        placed.append((planner.starts[first], row))
    readout = readout or no_logits()
    results: dict[Intervention, Tensor] = {}
    most = min(max_positions, positions_in_a_pass(checkpoint, clean.length))
    for start, rows in _passes(placed, clean, max_rows, most):
        run = SuffixPass(checkpoint, clean, start, rows, Method.MASKED, None, most)
        of_logits, found = run.readings(positions, read, readout)
        results |= _by_intervention(rows, found)
        # What changes nothing has the clean logits exactly, wherever they are asked for.
        pairs = zip(rows, of_logits, strict=True)
        readout.kept.update({row.intervention: kept for row, kept in pairs if row.parts})
    return torch.stack([results[each] for each in interventions])


def _heads(checkpoint: Instrumentable) -> int:
    return int(checkpoint.parts.text_config.num_attention_heads)


def _passes(
    placed: Sequence[tuple[int, Row]], clean: CleanPass, max_rows: int, max_positions: int
) -> Iterator[tuple[int, list[Row]]]:
    """Rows that go through the decoder together, and from which position on."""
    for start, rows in joined(placed, length=clean.length, layers=len(clean.keys)).items():
        ordered = sorted(rows, key=lambda row: row.first_layer)
        step = max(1, min(max_rows, max_positions // (clean.length - start)))
        for first in range(0, len(ordered), step):
            yield start, ordered[first : first + step]


def _by_intervention(rows: Sequence[Row], values: Tensor) -> dict[Intervention, Tensor]:
    return {row.intervention: value for row, value in zip(rows, values, strict=True)}

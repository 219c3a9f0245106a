"""The same edge read at the first and at the last piece of answers that have several."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.mechanisms.measured import Measured


class Piece(StrEnum):
    """Which sub-word of an answer of several is followed (docs/decisions/041)."""

    FIRST = "first"
    LAST = "last"


def piece_table(measurements: Measured, task: str, sweep: Sweep, piece: Piece) -> SweepTable:
    """A sweep as read at one piece, on the samples that both pieces are known of."""
    first = measurements.table(task, sweep)
    last = measurements.table(task, LastPiece(sweep=sweep))
    common = set(first.question_ids) & set(last.question_ids)
    return _only(first if piece is Piece.FIRST else last, common)


def _only(table: SweepTable, question_ids: set[str]) -> SweepTable:
    kept = [i for i, question in enumerate(table.question_ids) if question in question_ids]
    # What the counterfactual method tells beside the change is of the first piece alone.
    return replace(
        table,
        question_ids=tuple(table.question_ids[i] for i in kept),
        image_ids=tuple(table.image_ids[i] for i in kept),
        answer_token_ids=(),
        base_probability=table.base_probability[kept],
        knockout_probability=table.knockout_probability[kept],
        counterfactual_probability=None,
        is_flipped=None,
    )

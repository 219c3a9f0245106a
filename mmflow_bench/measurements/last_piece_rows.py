"""The last piece of an answer, measured: the knockouts of the first over a longer sequence."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.knockout import Edge, Knockout, Method, around_every_layer
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import answer_limit, chances_of, probabilities, require_finite
from mmflow_bench.measurements.answer_pieces import answer_pieces, teacher_forced
from mmflow_bench.measurements.last_piece import SINGLE_TOKEN, LastPiece
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.role_positions import Positions
from mmflow_bench.positions.roles import Role

_Planned = list[tuple[LastPiece, list[Knockout]]]


def last_piece_rows(wants: Sequence[LastPiece], work: SampleAtWork) -> Rows:
    """A row for each want and layer; one `unscored` row for a want that is refused."""
    rows: Rows = {}
    of = f"the answer, sample {work.sample.question_id}"
    try:
        limit = answer_limit(work.checkpoint, work.sample)
        pieces = answer_pieces(work.checkpoint, work.clean, limit=limit, of=of)
        forced = teacher_forced(
            work.checkpoint, work.clean, pieces, fewest=2, reason=SINGLE_TOKEN, of=of
        )
        base = float(probabilities(forced.logits, of=of)[pieces[-1]])
    except (KnockoutError, SampleError) as error:
        for want in wants:
            merge(rows, work.refused(want, error))
        return rows
    planned: dict[Method, _Planned] = {method: [] for method in Method}
    for want in wants:
        try:
            planned[want.sweep.method].append((want, _knockouts(want, work, forced.length)))
        except SampleError as error:
            merge(rows, work.refused(want, error))
    measured = partial(_measured, forced=forced, piece=pieces[-1], base=base, work=work)
    for of_method in planned.values():
        merge(rows, measured(of_method))
    return rows


def _knockouts(want: LastPiece, work: SampleAtWork, length: int) -> list[Knockout]:
    sources, targets = _positions(want.sweep.edge, work, length)
    layers, width = work.checkpoint.decoder_layers, want.sweep.width or 1
    return around_every_layer(sources, targets, width=width, layers=layers)


def _positions(edge: Edge, work: SampleAtWork, length: int) -> tuple[Positions, Positions]:
    """Where an edge begins and ends in a sequence that goes on after the prompt."""
    sources, targets = (work.roles.union(roles) for roles in (edge.sources, edge.targets))
    if Role.LAST in edge.targets:
        # The current token of every decoding step, as the published program masks it.
        (last,) = work.roles[Role.LAST]
        targets = tuple(sorted({*targets, *range(last, length)}))
    return sources, targets


def _measured(
    planned: _Planned, *, forced: CleanPass, piece: int, base: float, work: SampleAtWork
) -> Rows:
    rows: Rows = {}
    if not planned:
        return rows
    method = planned[0][0].sweep.method
    try:
        kept = work.throttle.knockout_logits(
            forced,
            [knockout for _, knockouts in planned for knockout in knockouts],
            method=method,
            counterfactual=work.donated if method is Method.COUNTERFACTUAL else None,
            readout=chances_of([[piece]]),
        )
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            return work.refused(planned[0][0], error)
        # One refused edge must not hide the others: each on its own.
        for one in planned:
            alone = _measured([one], forced=forced, piece=piece, base=base, work=work)
            merge(rows, alone)
        return rows
    of_wants = kept.split(work.checkpoint.decoder_layers)
    for (want, _), of_want in zip(planned, of_wants, strict=True):
        of = f"a {method} knockout of {want.name}, sample {work.sample.question_id}"
        # One edge that overflows must not hide the others.
        try:
            require_finite(of_want, of)
        except SampleError as error:
            merge(rows, work.refused(want, error))
            continue
        row = {"sample": work.job.key_of(want), "base_probability": base}
        rows[want.shard] = [
            row | {"layer": layer, "knockout_probability": value}
            for layer, value in enumerate(of_want[:, 0].tolist())
        ]
    return rows

"""What the question says at the end of one sample, measured: all windows go through at once."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int
from numpy import ndarray

from mmflow_bench.errors import KnockoutError, PositionError, SampleError
from mmflow_bench.interventions.knockout import (
    Intervention,
    Knockout,
    Module,
    Skip,
    around_every_layer,
)
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.top_tokens import (
    TOP,
    position_similarity,
    said,
    similarity,
    tokens_read,
)
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.roles import Role

_Planned = tuple[QuestionSemantics, Sequence[Intervention]]


def semantics_rows(wants: Sequence[QuestionSemantics], work: SampleAtWork) -> Rows:
    """A row for each want and layer; one `unscored` row for a want that is refused."""
    rows: Rows = {}
    planned: list[_Planned] = []
    for want in wants:
        try:
            planned.append((want, _interventions(want, work)))
        except SampleError as error:
            merge(rows, work.refused(want, error))
    merge(rows, _measured(planned, work))
    return rows


def _interventions(want: QuestionSemantics, work: SampleAtWork) -> Sequence[Intervention]:
    """One for each layer: windows begin there for a module, and are centred there for an edge."""
    question, width = work.roles[Role.QUESTION], want.width or 1
    layers, without = work.checkpoint.decoder_layers, want.without
    if isinstance(without, Module):
        windows = [range(first, min(first + width, layers)) for first in range(layers)]
        return [Skip(module=without, positions=question, layers=window) for window in windows]
    sources, targets = (work.roles.union(of) for of in (without.sources, without.targets))
    return around_every_layer(sources, targets, width=width, layers=layers)


def _measured(planned: Sequence[_Planned], work: SampleAtWork) -> Rows:
    rows: Rows = {}
    if not planned:
        return rows
    try:
        clean, *tokens = _tokens([each for _, of_want in planned for each in of_want], work)
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            return work.refused(planned[0][0], error)
        # One that is refused must not hide the others: each on its own.
        for one in planned:
            merge(rows, _measured([one], work))
        return rows
    found = iter(tokens)
    for want, of_want in planned:
        rows[want.shard] = [
            {
                "sample": work.job.key_of(want),
                "layer": layer,
                "similarity": similarity(clean, left),
                "position_similarity": position_similarity(clean, left),
            }
            for layer, left in zip(range(len(of_want)), found, strict=False)
        ]
    return rows


def _tokens(
    interventions: Sequence[Intervention], work: SampleAtWork
) -> Int[ndarray, "intervention position top"]:
    """What every question position says: first without any intervention, then under each.

    Raises:
        PositionError: Without any intervention the positions say less than one of them should.
    """
    question = work.roles[Role.QUESTION]
    nothing = Knockout(sources=(), targets=(), layers=range(0))
    of = f"what the question says, sample {work.sample.question_id}"
    # In one call, so that the clean states come from the same pass as the others.
    tokens: Int[ndarray, "intervention position top"] = (
        work.throttle.knockout_readings(
            work.clean,
            [nothing, *interventions],
            positions=question,
            read=tokens_read(work.checkpoint.parts.unembedding, of=of),
            readout=work.readout,
        )
        .cpu()
        .numpy()
    )
    if (count := len(said(tokens[0]))) < TOP:
        raise PositionError(
            f"question positions that say {TOP} words or more, got {count} that are told apart "
            f"from others (sample {work.sample.question_id}); there is nothing to lose",
            reason="question-says-nothing",
        )
    return tokens

"""Sweeps of one sample, measured: all knockouts of one method go through the model at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.knockout import Knockout, Method, around_every_layer
from mmflow_bench.interventions.readout import Readout
from mmflow_bench.measurements.answer import chances, require_finite
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.measurements.wrong_answers import WrongAnswers


def knockout_rows(sweeps: Sequence[Sweep], work: SampleAtWork) -> Rows:
    """A row for each sweep and layer; one `unscored` row for a sweep that is refused."""
    rows: Rows = {}
    planned: dict[Method, list[tuple[Sweep, list[Knockout]]]] = {method: [] for method in Method}
    for sweep in sweeps:
        try:
            planned[sweep.method].append((sweep, _knockouts(sweep, work)))
        except SampleError as error:
            merge(rows, work.refused(sweep, error))
    for method, of_method in planned.items():
        merge(rows, _measured(of_method, method, work))
    return rows


def wrong_answer_rows(wants: Sequence[WrongAnswers], work: SampleAtWork) -> Rows:
    """The same, on a sample that is asked whatever it answers."""
    return knockout_rows([want.sweep for want in wants], work)


def _knockouts(sweep: Sweep, work: SampleAtWork) -> list[Knockout]:
    sources, targets = (work.roles.union(of) for of in (sweep.edge.sources, sweep.edge.targets))
    layers, width = work.checkpoint.decoder_layers, sweep.width or 1
    return around_every_layer(sources, targets, width=width, layers=layers)


def _measured(
    planned: Sequence[tuple[Sweep, list[Knockout]]], method: Method, work: SampleAtWork
) -> Rows:
    rows: Rows = {}
    if not planned:
        return rows
    is_masked = method is Method.MASKED
    knockouts = [knockout for _, knockouts in planned for knockout in knockouts]
    # The noise of the instrument is that of the very pass that it is compared with.
    silent = [work.nothing] if is_masked and work.job.answer is None else []
    try:
        donated = work.donated if method is Method.COUNTERFACTUAL else None
        other = int(donated.logits.argmax()) if donated is not None else None
        kept = work.throttle.knockout_logits(
            work.clean,
            [*knockouts, *silent],
            method=method,
            counterfactual=donated,
            readout=work.readout if is_masked else Readout(read=partial(_read, work, other)),
        )
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            return work.refused(planned[0][0], error)
        # One refused edge must not hide the others: each on its own.
        for one in planned:
            merge(rows, _measured([one], method, work))
        return rows
    of_sweeps = kept[: len(knockouts)].split(work.checkpoint.decoder_layers)
    for (sweep, _), of_sweep in zip(planned, of_sweeps, strict=True):
        # One edge that overflows must not hide the others.
        try:
            followed = _followed(of_sweep, sweep, work, other)
        except SampleError as error:
            merge(rows, work.refused(sweep, error))
            continue
        key = work.job.key_of(sweep)
        rows[sweep.shard] = [{"sample": key, "layer": i, **row} for i, row in enumerate(followed)]
    return rows


def _read(
    work: SampleAtWork, other: int | None, logits: Float[Tensor, "row vocab"]
) -> Float[Tensor, "row kept"]:
    """What is kept by other methods: beside what is followed the other's answer, the likeliest."""
    if other is None:
        return chances(logits, work.followed)
    kept = chances(logits, [*work.followed, [other]])
    return torch.cat([kept, logits.argmax(dim=-1, keepdim=True)], dim=-1)


def _followed(
    kept: Float[Tensor, "layer kept"], sweep: Sweep, work: SampleAtWork, other: int | None
) -> list[dict[str, object]]:
    """What is stored of each knockout: the probabilities of answer, reference, other's answer."""
    of = f"a {sweep.method} knockout of {sweep.name}, sample {work.sample.question_id}"
    require_finite(kept, of)
    own, *rest = kept.T.tolist()
    columns: dict[str, list[object]] = {"knockout_probability": own}
    if work.answer["reference_token_id"] is not None:
        columns["reference_probability"] = rest.pop(0)
    if other is not None:
        columns["counterfactual_probability"], likeliest = rest
        has_moved = other != work.answer["answer_token_id"]
        columns["is_flipped"] = [has_moved and best == other for best in likeliest]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

"""Sweeps of one sample, measured: all knockouts of one method go through the model at once."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.knockout import Knockout, Method, around_every_layer
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import first_tokens, probabilities
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
        logits = work.throttle.knockout_logits(
            work.clean,
            [*knockouts, *silent],
            method=method,
            counterfactual=donated,
            known=work.logits if is_masked else None,
        )
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            return work.refused(planned[0][0], error)
        # One refused edge must not hide the others: each on its own.
        for one in planned:
            merge(rows, _measured([one], method, work))
        return rows
    # A part of the others would keep all of them for as long.
    work.logits.update(zip(silent, logits[len(knockouts) :].clone(), strict=True))
    of_sweeps = logits[: len(knockouts)].split(work.checkpoint.decoder_layers)
    for (sweep, _), of_sweep in zip(planned, of_sweeps, strict=True):
        # One edge that overflows must not hide the others.
        try:
            followed = _followed(of_sweep, sweep, work, donated)
        except SampleError as error:
            merge(rows, work.refused(sweep, error))
            continue
        key = work.job.key_of(sweep)
        rows[sweep.shard] = [{"sample": key, "layer": i, **row} for i, row in enumerate(followed)]
    return rows


def _followed(
    logits: Float[Tensor, "layer vocab"],
    sweep: Sweep,
    work: SampleAtWork,
    donated: CleanPass | None,
) -> list[dict[str, object]]:
    """What is kept of each knockout: the probabilities of answer, reference, other's answer."""
    of = f"a {sweep.method} knockout of {sweep.name}, sample {work.sample.question_id}"
    chances = probabilities(logits, of=of)
    own = work.answer["answer_token_id"]
    kept: dict[str, list[object]] = {"knockout_probability": chances[:, own].tolist()}
    if work.answer["reference_token_id"] is not None:
        tokens = sorted(first_tokens(work.checkpoint, work.sample.answer))
        kept["reference_probability"] = chances[:, tokens].sum(dim=-1).tolist()
    if donated is not None:
        token = int(donated.logits.argmax())
        kept["counterfactual_probability"] = chances[:, token].tolist()
        has_moved = token != own
        kept["is_flipped"] = [has_moved and best == token for best in chances.argmax(-1).tolist()]
    return [dict(zip(kept, values, strict=True)) for values in zip(*kept.values(), strict=True)]

"""Everything measured of one sample from one clean pass: its answer, knockouts and lens.

A `Job` says what one sample still lacks; `measure` turns jobs into rows for the store, one sample
after the other, so that nothing finished is lost. A sample that cannot be measured becomes an
`unscored` row with its reason: under the scope `answer` when nothing of it can be measured, or
under the edge that it has no positions for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.suffixes import CleanPass, clean_passes, knockout_logits
from mmflow_bench.interventions.windows import layer_window
from mmflow_bench.measurements.answer import Answer, greedy_answer, probabilities
from mmflow_bench.measurements.logit_lens import lens_rows
from mmflow_bench.measurements.plan import ANSWER_SCOPE, LENS_SCOPE, Job, Rows, Sweep
from mmflow_bench.positions.resolve import RolePositions, resolve_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The rows of one finished sample, by shard."""

    key: str
    rows: Rows


def measure(
    checkpoint: LoadedCheckpoint, jobs: Sequence[Job], *, batch_size: int = 1
) -> Iterator[Measured]:
    """The rows of each job, yielded as its sample is finished.

    Args:
        checkpoint: The loaded checkpoint.
        jobs: What to measure; order is kept.
        batch_size: Samples whose clean passes go through the model together.
    """
    for start in range(0, len(jobs), batch_size):
        yield from _measure_batch(checkpoint, jobs[start : start + batch_size])


def _measure_batch(checkpoint: LoadedCheckpoint, jobs: Sequence[Job]) -> Iterator[Measured]:
    encoded: list[tuple[Job, EncodedSample]] = []
    for job in jobs:
        try:
            encoded.append((job, encode(job.sample, checkpoint)))
        except SampleError as error:
            yield Measured(key=job.key, rows=_unscored(job.key, ANSWER_SCOPE, error))
    for group in _same_shapes(encoded):
        passes = clean_passes(checkpoint, [_inputs(sample) for _, sample in group])
        for (job, sample), clean in zip(group, passes, strict=True):
            yield Measured(key=job.key, rows=_measure_sample(checkpoint, job, sample, clean))


def _measure_sample(
    checkpoint: LoadedCheckpoint, job: Job, encoded: EncodedSample, clean: CleanPass
) -> Rows:
    answer = greedy_answer(checkpoint, clean, job.sample)
    rows: Rows = {
        "answers": [
            {
                "sample": job.key,
                "prediction": answer.prediction,
                "is_correct": answer.is_correct,
                "answer_token_id": answer.token_id,
                "base_probability": answer.probability,
                "noise": _noise(checkpoint, clean, answer),
            }
        ]
    }
    if not (answer.is_correct or job.keep_incorrect):
        return rows
    roles = resolve_roles(encoded, checkpoint)
    for method in Method:
        sweeps = [sweep for sweep in job.sweeps if sweep.method is method]
        if sweeps:
            measured = _sweep_rows(checkpoint, job, clean, answer, roles=roles, sweeps=sweeps)
            _merge(rows, measured)
    if job.lens:
        try:
            lens = lens_rows(checkpoint, clean, job.sample, token_id=answer.token_id, key=job.key)
            rows["lens"] = lens
        except SampleError as error:
            _merge(rows, _unscored(job.key, LENS_SCOPE, error))
    return rows


def _sweep_rows(
    checkpoint: LoadedCheckpoint,
    job: Job,
    clean: CleanPass,
    answer: Answer,
    *,
    roles: RolePositions,
    sweeps: Sequence[Sweep],
) -> Rows:
    """All sweeps of one method: every knockout that can be made goes through the model at once."""
    layers = len(checkpoint.family.decoder_layers)
    key = job.key_for(sweeps[0].method)
    rows: Rows = {}
    planned: list[tuple[Sweep, list[Knockout]]] = []
    for sweep in sweeps:
        try:
            planned.append((sweep, _knockouts(sweep, roles, layers)))
        except SampleError as error:
            _merge(rows, _unscored(key, sweep.shard, error))
    if not planned:
        return rows
    try:
        counterfactual = _counterfactual(checkpoint, job, sweeps[0].method)
        logits = knockout_logits(
            checkpoint,
            clean,
            [knockout for _, knockouts in planned for knockout in knockouts],
            method=sweeps[0].method,
            counterfactual=counterfactual,
        )
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            _merge(rows, _unscored(key, planned[0][0].shard, error))
            return rows
        # One refused edge must not hide the others: each on its own.
        for sweep, _ in planned:
            alone = _sweep_rows(checkpoint, job, clean, answer, roles=roles, sweeps=[sweep])
            _merge(rows, alone)
        return rows
    followed = _followed(logits, answer, counterfactual)
    for number, (sweep, _) in enumerate(planned):
        rows[sweep.shard] = [
            {"sample": key, "layer": layer, **followed[number * layers + layer]}
            for layer in range(layers)
        ]
    return rows


def _followed(
    logits: Float[Tensor, "knockout vocab"], answer: Answer, counterfactual: CleanPass | None
) -> list[dict[str, object]]:
    """What is kept of each knockout: the answer's probability, and the other image's answer's."""
    chances = probabilities(logits)
    kept: dict[str, list[object]] = {"knockout_probability": chances[:, answer.token_id].tolist()}
    if counterfactual is not None:
        token = int(counterfactual.logits.argmax())
        kept["counterfactual_probability"] = chances[:, token].tolist()
        has_moved = token != answer.token_id
        kept["is_flipped"] = [has_moved and best == token for best in chances.argmax(-1).tolist()]
    return [dict(zip(kept, values, strict=True)) for values in zip(*kept.values(), strict=True)]


def _knockouts(sweep: Sweep, roles: RolePositions, layers: int) -> list[Knockout]:
    sources, targets = roles[sweep.edge.source], roles[sweep.edge.target]
    return [
        Knockout(sources=sources, targets=targets, layers=layer_window(center, sweep.width, layers))
        for center in range(layers)
    ]


def _counterfactual(checkpoint: LoadedCheckpoint, job: Job, method: Method) -> CleanPass | None:
    """The clean pass of the same question about the donor's image."""
    if method is not Method.COUNTERFACTUAL:
        return None
    if job.donor is None:
        raise KnockoutError(
            "another sample of the task with an image and another answer, got none "
            f"(sample {job.sample.question_id}); the counterfactual method needs one, use more "
            "samples"
        )
    encoded = encode(job.sample, checkpoint, image=open_image(job.donor))
    return clean_passes(checkpoint, [_inputs(encoded)])[0]


def _noise(checkpoint: LoadedCheckpoint, clean: CleanPass, answer: Answer) -> float:
    """Relative difference that the instrument itself makes: a knockout of no edge at all."""
    layers = range(len(checkpoint.family.decoder_layers))
    nothing = Knockout(sources=(), targets=(clean.length - 1,), layers=layers)
    logits = knockout_logits(checkpoint, clean, [nothing])[0]
    probability = float(probabilities(logits)[answer.token_id])
    return abs(probability - answer.probability) / answer.probability


def _inputs(encoded: EncodedSample) -> Mapping[str, Tensor]:
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def _same_shapes(
    encoded: Sequence[tuple[Job, EncodedSample]],
) -> list[list[tuple[Job, EncodedSample]]]:
    """Groups whose images can be stacked; text lengths may differ, the engine pads them."""
    groups: dict[tuple[object, ...], list[tuple[Job, EncodedSample]]] = {}
    for job, sample in encoded:
        shapes = tuple((name, tuple(value.shape)) for name, value in sample.model_inputs.items())
        groups.setdefault(shapes, []).append((job, sample))
    return list(groups.values())


def _unscored(key: str, scope: str, error: KnockoutError | SampleError) -> Rows:
    reason = error.reason if isinstance(error, SampleError) else "knockout-refused"
    row: dict[str, object] = {
        "sample": key,
        "scope": scope,
        "reason": reason,
        "message": str(error),
    }
    return {"unscored": [row]}


def _merge(rows: Rows, more: Rows) -> None:
    for shard, added in more.items():
        rows.setdefault(shard, []).extend(added)

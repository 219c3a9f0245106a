"""Everything measured of one sample from its clean pass: answer, knockouts and lens.

What cannot be measured of a sample becomes an `unscored` row with its reason, under the edge that
it has no positions for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.windows import layer_window
from mmflow_bench.measurements.answer import Answer, greedy_answer, known_answer, probabilities
from mmflow_bench.measurements.logit_lens import lens_rows
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.plan import LENS_SCOPE, Job, Rows, Sweep
from mmflow_bench.positions.resolve import RolePositions, resolve_roles


def sample_rows(throttle: Throttle, job: Job, encoded: EncodedSample, clean: CleanPass) -> Rows:
    """The rows of one sample, by shard."""
    checkpoint = throttle.checkpoint
    rows: Rows = {}
    if job.answer is not None:
        answer = known_answer(checkpoint, job.sample, job.answer)
    else:
        answer = greedy_answer(checkpoint, clean, job.sample)
        rows["answers"] = [_answer_row(throttle, job, clean, answer)]
    if not (answer.is_correct or job.keep_incorrect):
        return rows
    roles = resolve_roles(encoded, checkpoint)
    for method in Method:
        sweeps = [sweep for sweep in job.sweeps if sweep.method is method]
        if sweeps:
            measured = _sweep_rows(throttle, job, clean, answer, roles=roles, sweeps=sweeps)
            _merge(rows, measured)
    if job.lens:
        try:
            rows["lens"] = lens_rows(checkpoint, clean, job.sample, answer=answer, key=job.key)
        except SampleError as error:
            _merge(rows, unscored_rows(job.key, LENS_SCOPE, error))
    return rows


def _answer_row(
    throttle: Throttle, job: Job, clean: CleanPass, answer: Answer
) -> dict[str, object]:
    return {
        "sample": job.key,
        "prediction": answer.prediction,
        "is_correct": answer.is_correct,
        "answer_token_id": answer.token_id,
        "base_probability": answer.probability,
        "reference_token_id": answer.reference and answer.reference.token_id,
        "reference_probability": answer.reference and answer.reference.probability,
        "noise": _noise(throttle, clean, answer),
    }


def _sweep_rows(
    throttle: Throttle,
    job: Job,
    clean: CleanPass,
    answer: Answer,
    *,
    roles: RolePositions,
    sweeps: Sequence[Sweep],
) -> Rows:
    """All sweeps of one method: every knockout that can be made goes through the model at once."""
    checkpoint = throttle.checkpoint
    layers = checkpoint.decoder_layers
    key = job.key_for(sweeps[0].method)
    rows: Rows = {}
    planned: list[tuple[Sweep, list[Knockout]]] = []
    for sweep in sweeps:
        try:
            planned.append((sweep, _knockouts(sweep, roles, layers)))
        except SampleError as error:
            _merge(rows, unscored_rows(key, sweep.shard, error))
    if not planned:
        return rows
    try:
        counterfactual = _counterfactual(checkpoint, job, sweeps[0].method)
        logits = throttle.knockout_logits(
            clean,
            [knockout for _, knockouts in planned for knockout in knockouts],
            method=sweeps[0].method,
            counterfactual=counterfactual,
        )
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            _merge(rows, unscored_rows(key, planned[0][0].shard, error))
            return rows
        # One refused edge must not hide the others: each on its own.
        for sweep, _ in planned:
            alone = _sweep_rows(throttle, job, clean, answer, roles=roles, sweeps=[sweep])
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
    """What is kept of each knockout: the probabilities of answer, reference, other's answer."""
    chances = probabilities(logits)
    kept: dict[str, list[object]] = {"knockout_probability": chances[:, answer.token_id].tolist()}
    if answer.reference is not None:
        tokens = list(answer.reference.tokens)
        kept["reference_probability"] = chances[:, tokens].sum(dim=-1).tolist()
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
    donated, own = open_image(job.donor), open_image(job.sample)
    if donated.size != own.size:
        # The same shape, so that both images take the same positions.
        donated = donated.resize(own.size, Image.Resampling.BICUBIC)
    encoded = encode(job.sample, checkpoint, image=donated)
    return clean_passes(checkpoint, [model_inputs(encoded)])[0]


def _noise(throttle: Throttle, clean: CleanPass, answer: Answer) -> float:
    """Relative difference that the instrument itself makes: a knockout of no edge at all."""
    layers = range(throttle.checkpoint.decoder_layers)
    nothing = Knockout(sources=(), targets=(clean.length - 1,), layers=layers)
    logits = throttle.knockout_logits(clean, [nothing])[0]
    probability = float(probabilities(logits)[answer.token_id])
    return abs(probability - answer.probability) / answer.probability


def model_inputs(encoded: EncodedSample) -> Mapping[str, Tensor]:
    """What `model(**inputs)` takes."""
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def unscored_rows(key: str, scope: str, error: KnockoutError | SampleError) -> Rows:
    """The row of what could not be measured, under its scope."""
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

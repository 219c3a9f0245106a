"""Everything measured of one sample from its clean pass: its answer, then whatever is wanted.

What cannot be measured of a sample becomes an `unscored` row with its reason, under what it has no
positions for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from itertools import groupby

from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import Answer, greedy_answer, known_answer, probabilities
from mmflow_bench.measurements.at_work import SampleAtWork, merge
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.wants import ANSWERS, AnswerRow, Rows, Want


def sample_rows(throttle: Throttle, job: Job, encoded: EncodedSample, clean: CleanPass) -> Rows:
    """The rows of one sample, by shard."""
    checkpoint = throttle.checkpoint
    rows: Rows = {}
    if job.answer is not None:
        answer = known_answer(checkpoint, job.sample, job.answer)
    else:
        answer = greedy_answer(checkpoint, clean, job.sample)
        rows[ANSWERS] = [dict(_answer_row(throttle, job, clean, answer))]
    if not (answer.is_correct or job.keep_incorrect):
        return rows
    work = SampleAtWork(throttle=throttle, job=job, encoded=encoded, clean=clean, answer=answer)
    by_kind = sorted(job.wants, key=lambda want: want.measured_by)
    for place, wants in groupby(by_kind, key=lambda want: want.measured_by):
        merge(rows, _measurer(place)(list(wants), work))
    return rows


def _measurer(place: str) -> Callable[[Sequence[Want[object]], SampleAtWork], Rows]:
    module, _, name = place.partition(":")
    found: Callable[[Sequence[Want[object]], SampleAtWork], Rows]
    found = getattr(importlib.import_module(module), name)
    return found


def _answer_row(throttle: Throttle, job: Job, clean: CleanPass, answer: Answer) -> AnswerRow:
    reference = answer.reference
    return {
        "sample": job.key,
        "prediction": answer.prediction,
        "is_correct": answer.is_correct,
        "answer_token_id": answer.token_id,
        "base_probability": answer.probability,
        "reference_token_id": reference.token_id if reference else None,
        "reference_probability": reference.probability if reference else None,
        "noise": _noise(throttle, clean, answer),
    }


def _noise(throttle: Throttle, clean: CleanPass, answer: Answer) -> float:
    """Relative difference that the instrument itself makes: a knockout of no edge at all."""
    layers = range(throttle.checkpoint.decoder_layers)
    nothing = Knockout(sources=(), targets=(clean.length - 1,), layers=layers)
    logits = throttle.knockout_logits(clean, [nothing])[0]
    probability = float(probabilities(logits)[answer.token_id])
    return abs(probability - answer.probability) / answer.probability

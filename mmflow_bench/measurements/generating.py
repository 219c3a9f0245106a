"""An answer generated as inference would generate it, with positions removed, and what it costs."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from statistics import median

import torch

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.removal import PrunedAnswer, Removal
from mmflow_bench.measurements.answer import (
    answer_limit,
    end_of_answers,
    first_line,
    is_accepted,
    probabilities,
    without_end,
)
from mmflow_bench.measurements.blind_rows import TIE
from mmflow_bench.measurements.costs import decoder_costs
from mmflow_bench.measurements.pruned import Generated
from mmflow_bench.measurements.taking import model_inputs, taking_inputs

REPEATS = 3
"""Times that an answer is generated to be timed."""


def generated(
    checkpoint: LoadedCheckpoint,
    encoded: EncodedSample,
    removals: Collection[Removal] = (),
    *,
    repeats: int = REPEATS,
) -> Generated:
    """The greedy answer to a sample while positions of its prompt are removed.

    Raises:
        KnockoutError: The removals do not fit the sample or the checkpoint.
        NotFiniteError: Logits overflow.
    """
    once = [_once(checkpoint, encoded, removals) for _ in range(max(1, repeats))]
    return replace(once[-1], seconds=median(one.seconds for one in once))


def _once(
    checkpoint: LoadedCheckpoint, encoded: EncodedSample, removals: Collection[Removal]
) -> Generated:
    sample, inputs = encoded.sample, model_inputs(encoded)
    is_over = end_of_answers(checkpoint, limit=answer_limit(checkpoint, sample))
    _wait(checkpoint)
    begun = time.perf_counter()
    with taking_inputs(checkpoint, encoded):
        answer = PrunedAnswer(checkpoint, inputs, removals)
        logits, tokens = answer.prompt_logits, [int(answer.prompt_logits.argmax())]
        while not is_over(tokens):
            logits = answer.logits(tokens[-1])
            tokens.append(int(logits.argmax()))
    _wait(checkpoint)
    seconds = time.perf_counter() - begun
    # Looked at when the clock has stopped: what is not finite stays so to the end.
    probabilities(logits, of=f"a pruned answer, sample {sample.question_id}")
    first, second = answer.prompt_logits.double().softmax(-1).topk(2).values.tolist()
    prediction = first_line(checkpoint, without_end(checkpoint, tokens))
    costs = decoder_costs(checkpoint, answer.kept, answer_tokens=len(tokens) - 1)
    return Generated(
        prediction=prediction,
        is_correct=is_accepted(prediction, sample) and first - second > TIE,
        seconds=seconds,
        operations=costs.operations,
        cache_bytes=answer.cache_bytes,
    )


def _wait(checkpoint: LoadedCheckpoint) -> None:
    """Until the device has done what it was given: launching is not computing."""
    if checkpoint.device.type != "cpu" and torch.accelerator.is_available():
        torch.accelerator.synchronize(checkpoint.device)

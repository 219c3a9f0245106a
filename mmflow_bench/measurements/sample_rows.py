"""Everything measured of one sample from its clean pass: its answer, then whatever is wanted.

What cannot be measured of a sample becomes an `unscored` row with its reason, under what it has no
positions for.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from itertools import groupby

from mmflow_bench.checkpoints.families.layout import ImageLayout
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import Answer, greedy_answer, known_answer, probabilities
from mmflow_bench.measurements.at_work import SampleAtWork, merge
from mmflow_bench.measurements.described import PATCHES
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.wants import ANSWERS, AnswerRow, Rows
from mmflow_bench.positions.image_grid import patches_overlapping


def sample_rows(
    throttle: Throttle, job: Job, encoded: EncodedSample, clean: CleanPass, *, is_asked: bool
) -> Rows:
    """The rows of one sample, by shard; without `is_asked`, no more than its answer."""
    rows: Rows = {}
    if job.answer is not None:
        answer = known_answer(throttle.checkpoint, job.sample, job.answer)
    else:
        answer = greedy_answer(throttle.checkpoint, clean, job.sample)
        # Stored in this order, and done with once the answer is stored: the patches go first.
        rows |= _patch_rows(encoded, job.key)
        rows[ANSWERS] = [dict(_answer_row(throttle, job, clean, answer))]
    if not is_asked or not (answer.is_correct or job.keep_incorrect):
        return rows
    work = SampleAtWork(throttle=throttle, job=job, encoded=encoded, clean=clean, answer=answer)
    by_kind = sorted(job.wants, key=lambda want: want.measured_by)
    for place, wants in groupby(by_kind, key=lambda want: want.measured_by):
        module, _, name = place.partition(":")
        merge(rows, getattr(importlib.import_module(module), name)(list(wants), work))
    return rows


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


def _patch_rows(encoded: EncodedSample, key: str) -> Rows:
    """A row with the patches that show the objects asked about; nothing without grid or boxes.

    `left`, `top` and the sizes are in pixels of the photo as it went in; patches count row by row.
    Only the grid of the whole photo is kept: tiles show the same objects again.
    """
    if encoded.layout is None or not encoded.layout.grids or not encoded.boxes:
        return {}
    grid = replace(encoded.layout.grids[0], first_token=0, row_tokens=None)
    horizontal, vertical = grid.horizontal, grid.vertical
    row: dict[str, object] = {
        "sample": key,
        "width": horizontal.original,
        "height": vertical.original,
        "rows": grid.rows,
        "columns": grid.columns,
        "left": -horizontal.offset / horizontal.scale,
        "top": -vertical.offset / vertical.scale,
        "cell_width": grid.patch_size / horizontal.scale,
        "cell_height": grid.patch_size / vertical.scale,
        "related": sorted(patches_overlapping(encoded.boxes, ImageLayout(grids=(grid,)))),
    }
    return {PATCHES: [row]}

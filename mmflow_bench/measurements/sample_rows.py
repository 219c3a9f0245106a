"""Everything measured of one sample from its clean pass: its answer, then whatever is wanted.

What cannot be measured of a sample becomes an `unscored` row with its reason, under what it has no
positions for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby

from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.families.layout import ImageLayout
from mmflow_bench.checkpoints.foreign import foreign, is_out_of_memory
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Intervention, Knockout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import greedy_answer, probabilities
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.patch_features import (
    PatchFeatures,
    decoder_sinks,
    patch_features,
)
from mmflow_bench.measurements.wants import (
    ANSWER_SCOPE,
    ANSWERS,
    PATCHES,
    UNSCORED,
    Answer,
    Rows,
    Want,
)
from mmflow_bench.positions.resolve import patches_overlapping, resolve_roles
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import Role


@dataclass(frozen=True, kw_only=True)
class SampleAtWork:
    """Everything that a kind of measurement may use of one sample."""

    throttle: Throttle
    """Runs knockouts, in smaller parts where memory is short."""
    job: Job
    encoded: EncodedSample
    clean: CleanPass
    answer: Answer
    logits: dict[Intervention, Tensor] = field(default_factory=dict)
    """Under masked interventions that one kind of measurement has read and another may need."""

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.throttle.checkpoint

    @property
    def sample(self) -> Sample:
        return self.job.sample

    @cached_property
    def roles(self) -> RolePositions:
        return resolve_roles(self.encoded, self.checkpoint, self._find_sinks)

    @cached_property
    def features(self) -> PatchFeatures:
        """Norms of the patches, which take one more pass of the tower."""
        image = self.roles[Role.IMAGE]
        with taking_inputs(self.checkpoint, self.encoded):
            return patch_features(self.checkpoint, self.encoded, self.clean, image)

    def _find_sinks(self, role: Role) -> frozenset[int]:
        if role is Role.DECODER_SINKS:
            return decoder_sinks(self.clean, self.roles[Role.IMAGE])
        return self.features.sinks

    @cached_property
    def donated(self) -> CleanPass:
        """The clean pass of the same question about the donor's image."""
        if self.job.donor is None:
            raise KnockoutError(
                "another sample of the task with an image and another answer, got none "
                f"(sample {self.sample.question_id}); the counterfactual method needs one, use "
                "more samples"
            )
        donated, own = open_image(self.job.donor), open_image(self.sample)
        if donated.size != own.size:
            # The same shape, so that both images take the same positions.
            donated = donated.resize(own.size, Image.Resampling.BICUBIC)
        encoded = encode(self.sample, self.checkpoint, image=donated)
        with taking_inputs(self.checkpoint, encoded):
            clean = clean_passes(self.checkpoint, [model_inputs(encoded)])[0]
        # Its answer is followed: there has to be one.
        probabilities(clean.logits, of=f"another image, sample {self.sample.question_id}")
        return clean

    def refused(self, want: Want[object], error: KnockoutError | SampleError) -> Rows:
        return unscored_rows(self.job.key_of(want), want.shard.name, error)


def sample_rows(
    throttle: Throttle, job: Job, encoded: EncodedSample, clean: CleanPass, *, is_asked: bool
) -> Rows:
    """The rows of one sample, by shard; without `is_asked`, no more than its answer.

    A sample whose answer cannot be followed has one row, which says why.
    """
    rows: Rows = {}
    answer: Answer
    if job.answer is not None:
        answer = job.answer
    else:
        try:
            with taking_inputs(throttle.checkpoint, encoded):
                answer = greedy_answer(throttle.checkpoint, clean, job.sample)
            noise = _noise(throttle, clean, answer, job.sample)
        except SampleError as error:
            return unscored_rows(job.key, ANSWER_SCOPE, error)
        # Stored in this order, and done with once the answer is stored: the patches go first.
        rows |= _patch_rows(encoded, job.key)
        rows[ANSWERS] = [{"sample": job.key, **answer, "noise": noise}]
    asked = [want for want in job.wants if is_asked and job.asks(want, answer)]
    if not asked:
        return rows
    work = SampleAtWork(throttle=throttle, job=job, encoded=encoded, clean=clean, answer=answer)
    # What the question says is read before logits are: such a pass has both.
    by_kind = sorted(asked, key=lambda want: (not want.leaves_logits, want.measured_by))
    for place, wants in groupby(by_kind, key=lambda want: want.measured_by):
        module, _, name = place.partition(":")
        merge(rows, getattr(importlib.import_module(module), name)(list(wants), work))
    return rows


def _noise(throttle: Throttle, clean: CleanPass, answer: Answer, sample: Sample) -> float:
    """Relative difference that the instrument itself makes: a knockout of no edge at all."""
    layers = range(throttle.checkpoint.decoder_layers)
    nothing = Knockout(sources=(), targets=(clean.length - 1,), layers=layers)
    logits = throttle.knockout_logits(clean, [nothing])[0]
    chances = probabilities(logits, of=f"a knockout of no edge, sample {sample.question_id}")
    probability = float(chances[answer["answer_token_id"]])
    return abs(probability - answer["base_probability"]) / answer["base_probability"]


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


def model_inputs(encoded: EncodedSample) -> Mapping[str, Tensor]:
    """What `model(**inputs)` takes."""
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def taking_inputs(
    checkpoint: LoadedCheckpoint, encoded: EncodedSample
) -> AbstractContextManager[None]:
    """A CheckpointError where the model does not take what its processor has made of a sample."""
    return foreign(
        "a model that takes what its tokenizer and processor make",
        f"checkpoint {checkpoint.spec.name}, sample {encoded.sample.question_id}",
        "check that configuration, weights and processor are of one model",
        # Fewer samples may fit.
        passing=is_out_of_memory,
    )


def unscored_rows(key: str, scope: str, error: KnockoutError | SampleError) -> Rows:
    reason = error.reason if isinstance(error, SampleError) else "knockout-refused"
    # Names of files may hold bytes that are no text.
    message = str(error).encode(errors="replace").decode()
    return {UNSCORED: [{"sample": key, "scope": scope, "reason": reason, "message": message}]}


def merge(rows: Rows, more: Rows) -> None:
    for shard, added in more.items():
        rows.setdefault(shard, []).extend(added)

"""A sample while it is measured: its clean pass, answer, positions, and who donates to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import Answer
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.wants import UNSCORED, Rows, Want
from mmflow_bench.positions.resolve import RolePositions, resolve_roles


@dataclass(frozen=True, kw_only=True)
class SampleAtWork:
    """Everything that a kind of measurement may use of one sample."""

    throttle: Throttle
    """Runs knockouts, in smaller parts where memory is short."""
    job: Job
    encoded: EncodedSample
    clean: CleanPass
    answer: Answer

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        return self.throttle.checkpoint

    @property
    def sample(self) -> Sample:
        return self.job.sample

    @cached_property
    def roles(self) -> RolePositions:
        return resolve_roles(self.encoded, self.checkpoint)

    @cached_property
    def donated(self) -> CleanPass:
        """The clean pass of the same question about the donor's image.

        Raises:
            KnockoutError: The sample has no donor.
            SampleError: The donor's image cannot be shown in the place of its own.
        """
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
        return clean_passes(self.checkpoint, [model_inputs(encoded)])[0]

    def refused(self, want: Want[object], error: KnockoutError | SampleError) -> Rows:
        return unscored_rows(self.job.key_of(want), want.shard.name, error)


def model_inputs(encoded: EncodedSample) -> Mapping[str, Tensor]:
    """What `model(**inputs)` takes."""
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def unscored_rows(key: str, scope: str, error: KnockoutError | SampleError) -> Rows:
    """The row of what could not be measured, under its scope."""
    reason = error.reason if isinstance(error, SampleError) else "knockout-refused"
    return {UNSCORED: [{"sample": key, "scope": scope, "reason": reason, "message": str(error)}]}


def merge(rows: Rows, more: Rows) -> None:
    """Add rows to those of the same shards."""
    for shard, added in more.items():
        rows.setdefault(shard, []).extend(added)

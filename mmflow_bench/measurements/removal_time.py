"""How long an answer takes with and without the image in the last half of the layers (App. F)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import ResourceError, SampleError
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.removal import Removed
from mmflow_bench.measurements.wants import Kept, Rows, Want
from mmflow_bench.store.shards import AT_LEAST_ZERO, Shard, filled

if TYPE_CHECKING:
    from mmflow_bench.measurements.sample_rows import SampleAtWork

_SECONDS = ("whole", "removed")
_SHARD = Shard(
    "removal-time",
    pa.schema([filled("sample", pa.string()), *(filled(name, pa.float64()) for name in _SECONDS)]),
    ranges=dict.fromkeys(_SECONDS, AT_LEAST_ZERO),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTimeTable:
    """Seconds from the model's inputs to the end of the answer, for the samples of one task."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    whole: Float[ndarray, "sample"]
    removed: Float[ndarray, "sample"]
    """Without the image from half of the depth on."""

    def __post_init__(self) -> None:
        """Refuse what is no number: a StoreError."""
        refuse_not_finite(f"times of {self.task}", self.whole, self.removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalTime(Want[RemovalTimeTable]):
    """Generation timed, where there is an accelerator: a shared processor says little of time."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.removal_time:removal_time_rows"

    @property
    def shard(self) -> Shard:
        return _SHARD

    @property
    def name(self) -> str:
        return "removal time"

    @property
    def is_compared(self) -> bool:
        """False: seconds are the machine's."""
        return False

    def table(self, kept: Kept, rows: pa.Table) -> RemovalTimeTable:
        """The times of every kept sample that has them."""
        whole, removed = (kept.matrix(rows, name, 1)[:, 0] for name in _SECONDS)
        return RemovalTimeTable(
            task=kept.task,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            whole=whole,
            removed=removed,
        )

    def example(self, task: str, layers: int) -> RemovalTimeTable:  # noqa: ARG002
        """One sample that takes 40 % less time."""
        return RemovalTimeTable(
            task=task,
            question_ids=("example",),
            image_ids=("example",),
            whole=np.array([1.0]),
            removed=np.array([0.6]),
        )


def half_of(layers: int) -> int:
    """The first layer of the last half.

    >>> half_of(40), half_of(7)
    (20, 4)
    """
    return max(1, (layers + 1) // 2)


def removal_time_rows(wants: Sequence[RemovalTime], work: SampleAtWork) -> Rows:
    """The row of one sample; one `unscored` row where no accelerator computes."""
    # Here, and not above: the table is read without torch.
    from mmflow_bench.interventions.removal import Removal
    from mmflow_bench.measurements.generating import generated
    from mmflow_bench.measurements.removal_rows import removed_positions

    (want,) = wants
    if work.checkpoint.device.type == "cpu":
        error = ResourceError(
            "an accelerator to time answers on, got a processor; operations and bytes are counted "
            "all the same, measure with --refresh where there is one",
            reason="no-accelerator",
        )
        return work.refused(want, error)
    try:
        layer = half_of(work.checkpoint.decoder_layers)
        question_id = work.sample.question_id
        image = removed_positions(work.roles, Removed.IMAGE, question_id=question_id)
        removal = Removal(positions=image, layer=layer)
        times = [generated(work.checkpoint, work.encoded, one) for one in ((), (removal,))]
    except SampleError as error:
        return work.refused(want, error)
    seconds = dict(zip(_SECONDS, (one.seconds for one in times), strict=True))
    return {_SHARD: [{"sample": work.job.key_of(want), **seconds}]}

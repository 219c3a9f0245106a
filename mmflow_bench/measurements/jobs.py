"""What is still to be measured of one sample, as data: a run from the store needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.wants import AnswerRow, Want


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is still to be measured of one sample."""

    sample: Sample
    key: str
    """Content hash of the sample."""
    wants: Sequence[Want[object]] = ()
    """What it lacks; of those that share a shard, one."""
    keep_incorrect: bool = False
    """Measure although the answer is wrong."""
    answer: AnswerRow | None = None
    """The sample's row of answers where the store has it already."""
    donor: Sample | None = None
    """The sample whose image the counterfactual method takes its values from."""
    donor_key: str | None = None
    """Content hash of the donor."""

    def key_of(self, want: Want[object]) -> str:
        """The key that this sample's rows of a want are stored under."""
        return want.key(self.key, self.donor_key)

    def answer_only(self) -> Job:
        """The part of the job that tells whether the sample is answered correctly."""
        return replace(self, wants=())

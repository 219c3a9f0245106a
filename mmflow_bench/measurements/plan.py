"""What is to be measured, as data: no torch here, so that a run from the store needs none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.edges import Edge
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.store.shards import sweep_shard

PROBES = (
    "answer",
    "capitalized",
    "noncapitalized",
    "false_capitalized",
    "false_noncapitalized",
)
VARIANTS = ("raw", "normed")
OUTPUT = "output"
"""Stored beside the variants: the model's own output distribution, one depth, for the control."""

REFERENCE_PROBE = "reference"
"""Stored beside the probes: what `answer` is where the reference answer is followed."""

Rows = dict[str, list[dict[str, object]]]

ANSWER_SCOPE = "answer"
LENS_SCOPE = "lens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One edge knocked out around every layer, by one method, in windows of one width."""

    edge: Edge
    method: Method
    width: int

    @property
    def shard(self) -> str:
        """Name of the shard that its rows go to."""
        return sweep_shard(str(self.edge), method=self.method, width=self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is still to be measured of one sample."""

    sample: Sample
    key: str
    """Content hash of the sample."""
    sweeps: tuple[Sweep, ...] = ()
    lens: bool = False
    keep_incorrect: bool = False
    """Measure although the answer is wrong."""
    answer: Mapping[str, Any] | None = None
    """The sample's row of answers where the store has it already."""
    donor: Sample | None = None
    """The sample whose image the counterfactual method takes its values from."""
    donor_key: str | None = None
    """Content hash of the donor."""

    def key_for(self, method: Method) -> str:
        """The key of this sample's rows: a counterfactual row depends on its donor too."""
        return sweep_key(self.key, method=method, donor_key=self.donor_key)


def answer_of(job: Job) -> Job:
    """The part of a job that tells whether the sample is answered correctly."""
    return replace(job, sweeps=(), lens=False)


def sweep_key(key: str, *, method: Method, donor_key: str | None) -> str:
    """The key under which a sample's sweep is stored."""
    return f"{key}+{donor_key}" if method is Method.COUNTERFACTUAL else key


def sample_of(key: str) -> str:
    """The content hash of the sample in a key of `sweep_key`."""
    return key.partition("+")[0]

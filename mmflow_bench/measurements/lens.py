"""The logit lens at the last position: what is asked, kept and read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import PROBABILITY, Shard, filled

PROBES = ("answer", "capitalized", "noncapitalized", "false_capitalized", "false_noncapitalized")
VARIANTS = ("raw", "normed")
LENSES = ("normed", "raw")
"""Variants that must agree, the one that is shown first (docs/decisions/006)."""
PUBLISHED_LENSES = ("raw",)
"""What the published program has."""
OUTPUT = "output"
"""Stored beside the variants: the model's own output distribution, one depth, for the control."""
REFERENCE_PROBE = "reference"
"""Stored beside the probes: what `answer` is where the reference answer is followed."""

LENS = Shard(
    "lens",
    pa.schema(
        [
            filled("sample", pa.string()),
            filled("layer", pa.int64()),
            filled("probe", pa.string()),
            filled("variant", pa.string()),
            filled("probability", pa.float64()),
        ]
    ),
    keys=("sample", "layer", "probe", "variant"),
    ranges={"probability": PROBABILITY},
)
"""One for all probes and variants: whichever is asked for first measures every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LensTable:
    """Logit-lens probabilities of one probe at the last position, by layer."""

    task: str
    probe: str
    """One of `PROBES`."""
    variant: str
    """raw (residual stream as transformers returns it) or normed (after the final norm)."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    probability: Float[ndarray, "sample depth"]
    """Column 0 is the embedding, column l the output of decoder layer l - 1."""
    final_probability: Float[ndarray, "sample"]
    """Probability of the same probe in the model's output."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A probability is NaN or infinite.
        """
        probabilities = (self.probability, self.final_probability)
        refuse_not_finite(f"the {self.variant} lens on {self.task}", *probabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens(Want[LensTable]):
    """The probability that the logit lens gives to one probe, by one variant of the lens."""

    measured_by: ClassVar[str] = "mmflow_bench.measurements.logit_lens:lens_rows"

    probe: str
    variant: str

    @property
    def shard(self) -> Shard:
        return LENS

    @property
    def name(self) -> str:
        """The same for all: what refuses one refuses all."""
        return "lens"

    def table(self, kept: Kept, rows: pa.Table) -> LensTable:
        """The probe's probability by depth, of every kept sample that has the probe."""
        is_replaced = self.probe == "answer" and kept.follow is Followed.REFERENCE
        stored = REFERENCE_PROBE if is_replaced else self.probe
        rows = rows.filter(pc.equal(rows["probe"], stored))
        inner, output = (
            rows.filter(pc.equal(rows["variant"], name)) for name in (self.variant, OUTPUT)
        )
        kept = kept.having(frozenset(inner["sample"].unique().to_pylist()))
        return LensTable(
            task=kept.task,
            probe=self.probe,
            variant=self.variant,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            probability=kept.matrix(inner, "probability", kept.layers + 1),
            final_probability=kept.matrix(output, "probability", 1)[:, 0],
        )

    def example(self, task: str, layers: int) -> LensTable:
        """One sample whose probe becomes likely with depth."""
        return LensTable(
            task=task,
            probe=self.probe,
            variant=self.variant,
            question_ids=("example",),
            image_ids=("example",),
            probability=np.linspace(0, 1, layers + 1)[None],
            final_probability=np.ones(1),
        )

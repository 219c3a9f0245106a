"""What becomes of answers when image states of a late depth enter an early one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.backpatch import BackPatchTable
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.means import sample_mean


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PatchEffect:
    """Accuracy and probability of one task with patched states, less those without.

    Over all answered samples, right and wrong: a gain is to be seen where the answer was wrong.
    """

    table: BackPatchTable
    alpha: float

    @cached_property
    def accuracy_gain(self) -> Estimate:
        """The share of samples that are answered correctly, less that without the patch."""
        gain = self.table.is_patched_correct.astype(float) - self.table.is_correct
        return self._mean("accuracy gained", gain, "fraction")

    @cached_property
    def probability_gain(self) -> Estimate:
        """The mean probability of the reference answer, less that without the patch."""
        gain = self.table.patched_probability - self.table.base_probability
        return self._mean("probability gained", gain, "probability")

    def _mean(self, what: str, values: Float[ndarray, "sample"], unit: str) -> Estimate:
        return sample_mean(
            values,
            self.table.image_ids,
            name=f"{what} on {self.table.task} by {self.table.name}",
            unit=unit,
            alpha=self.alpha,
            bounds=(-1.0, 1.0),
        )

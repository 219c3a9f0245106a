"""What becomes of an answer when several edges are cut at once: one number, and no curve.

Whether some paths are all there are (the rest is as good as blind) and whether they are enough (the
answer stays without the rest) is asked of sets of edges, each in layers of its own
(docs/decisions/049).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.cut_paths import CutPathsTable
from mmflow_bench.mechanisms.bands import LEAST_LOG_ODDS
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.means import sample_mean
from mmflow_bench.mechanisms.verdicts import Inconclusive
from mmflow_bench.statistics.resampling import (
    ImageStatistic,
    Means,
    Weights,
    between,
    image_means,
)

_CERTAIN = 1e-9
"""Nearer to 0 or to 1 no probability is told apart from it."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CutEffect:
    """The followed answers of one task while some edges are cut; intervals are over images."""

    table: CutPathsTable
    alpha: float
    noise_floor: float = 0.0
    """Largest relative change that the instrument makes by itself."""

    @cached_property
    def change(self) -> Estimate:
        """The mean relative change of the answer's probability; negative is a drop."""
        values = self.table.relative_change
        return self._mean(
            "change", values, "fraction", min(-1.0, float(values.min())), max(0.0, values.max())
        )

    @cached_property
    def probability(self) -> Estimate:
        """The mean probability of the answer."""
        return self._mean("probability", self.table.knockout_probability, "probability", 0.0, 1.0)

    @cached_property
    def likeliest(self) -> Estimate:
        """The share of samples whose answer's first token is the likeliest still."""
        share = self.table.is_likeliest.astype(float)
        return self._mean("share of answers that stay the likeliest", share, "fraction", 0.0, 1.0)

    def faithfulness(self, blind: CutEffect) -> Estimate:
        """How much of what the image adds to the log-odds of the answer is left with these cuts.

        1 where the paths that are left are enough, 0 where they are worth no more than no image;
        the ratio of two means, as circuits are scored (Mueller et al. 2025, arXiv:2504.13151).
        Samples that only one of the two could be measured on are left out.

        Raises:
            Inconclusive: The image adds next to nothing.
        """
        common, own, other = np.intersect1d(
            self.table.question_ids, blind.table.question_ids, return_indices=True
        )
        without = log_odds(blind.table.knockout_probability[other])
        kept = log_odds(self.table.knockout_probability[own]) - without
        whole = log_odds(self.table.base_probability[own]) - without
        if not len(common) or whole.mean() <= LEAST_LOG_ODDS:
            raise Inconclusive(
                f"the image adds next to nothing to the log-odds of {len(common)} answers on "
                f"{self.table.task}, of which no share could be told"
            )
        means = image_means(
            np.column_stack([kept, whole]), [self.table.image_ids[index] for index in own]
        )
        # An image that was not seen may lose all that the image adds, or nothing of it.
        most = float(whole.max())
        lowest, highest = min(0.0, kept.min()), max(most, kept.max())
        worst, best = (means.with_unseen(np.array([end, most])) for end in (lowest, highest))
        return Estimate(
            source=ImageStatistic(
                means.images,
                partial(_share_kept, means),
                between(partial(_share_kept, worst), partial(_share_kept, best)),
            ),
            name=f"log-odds kept on {self.table.task} without {self.table.name}",
            unit="ratio",
            n=len(common),
            alpha=self.alpha,
            floor=self.noise_floor,
        )

    def _mean(
        self,
        what: str,
        values: Float[ndarray, "sample"],
        unit: str,
        lowest: float,
        highest: float,
    ) -> Estimate:
        return sample_mean(
            values,
            self.table.image_ids,
            name=f"{what} on {self.table.task} without {self.table.name}",
            unit=unit,
            alpha=self.alpha,
            bounds=(lowest, highest),
            floor=self.noise_floor,
        )


def log_odds(probability: Float[ndarray, "sample"]) -> Float[ndarray, "sample"]:
    """log(p / (1 - p)), finite however near to 0 or 1 a probability is."""
    inner = np.clip(probability, _CERTAIN, 1 - _CERTAIN)
    return np.asarray(np.log(inner) - np.log1p(-inner))


def _share_kept(means: Means, weights: Weights) -> Float[ndarray, "draw"]:
    kept, whole = means.curves(weights).T
    return np.asarray(kept / np.where(whole > LEAST_LOG_ODDS, whole, np.nan))

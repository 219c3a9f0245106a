"""How much of an edge's effect each attention head carries, and how many it takes for most of it.

Every head's effect is unbiased but noisy, and of many noisy numbers the largest are too large: so
heads are added up in an order that the other half of the images has given (docs/decisions/050).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.head_masks import HeadMasksTable
from mmflow_bench.mechanisms.bands import LEAST_LOG_ODDS
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Kind
from mmflow_bench.mechanisms.verdicts import Inconclusive
from mmflow_bench.statistics.attribution import Attribution, attribution
from mmflow_bench.statistics.resampling import (
    ImageStatistic,
    Means,
    Weights,
    between,
    first_half,
    image_means,
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HeadAttribution:
    """The heads of one edge on one task; intervals are over images."""

    table: HeadMasksTable
    alpha: float

    @cached_property
    def effects(self) -> Float[ndarray, "layer head"]:
        """Log-odds of the answer that each head carries, the mean over samples."""
        mean: Float[ndarray, "layer head"] = self._found.effects.mean(axis=0)
        return mean.reshape(self.table.layers, -1)

    def number_for(self, share: float) -> Estimate:
        """The number of heads that carry a share of what it costs to cut all of them.

        Raises:
            Inconclusive: Cutting all heads costs next to nothing, or their single effects do not
                add up to that share.
        """
        whole = float(self.table.whole_loss.mean())
        where = f"{self.table.edge} on {self.table.task}"
        if whole < LEAST_LOG_ODDS:
            raise Inconclusive(
                f"cutting every head of {where} costs {whole:.2g} in log-odds: there is no effect "
                "whose share could be told"
            )
        columns = np.column_stack([self._found.added, self.table.whole_loss])
        means = image_means(columns, self.table.image_ids)
        if not (means.mean[:-1] >= share * means.mean[-1]).any():
            raise Inconclusive(
                f"single heads of {where} do not add up to {share:.0%} of what all of them carry: "
                "they stand in for each other"
            )
        # An image that was not seen may have all of its effect in one head, or equally in all.
        heads = columns.shape[1] - 1
        in_one, in_all = np.full(heads, whole), whole * np.arange(1, heads + 1) / heads
        few, many = (means.with_unseen(np.append(one, whole)) for one in (in_one, in_all))
        count = partial(_number, share=share)
        return Estimate(
            source=ImageStatistic(
                means.images,
                partial(count, means),
                between(partial(count, few), partial(count, many)),
            ),
            name=f"heads that carry {share:.0%} of {where}",
            unit="heads",
            n=len(columns),
            alpha=self.alpha,
            kind=Kind.CENTRE,
            curve=tuple((self.effects.sum(axis=1) / whole).tolist()),
        )

    @cached_property
    def _found(self) -> Attribution:
        images = sorted(set(self.table.image_ids))
        is_first = dict(zip(images, first_half(images), strict=True))
        own = np.array([is_first[image] for image in self.table.image_ids], bool)
        return attribution(self.table.halves, self.table.loss, own)


def _number(means: Means, weights: Weights, *, share: float) -> Float[ndarray, "draw"]:
    curves = means.curves(weights)
    is_enough = curves[:, :-1] >= share * curves[:, -1:]
    number = np.where(is_enough.any(axis=1), is_enough.argmax(axis=1) + 1.0, np.nan)
    return np.asarray(np.where(curves[:, -1] >= LEAST_LOG_ODDS, number, np.nan))

"""What the question loses of what it says without a module, by the layers that are left out.

A loss is 1 - J, J being the Jaccard similarity of the ten likeliest tokens of all its positions
with and without the module (arXiv:2411.18620, App. D, Eq. 9). Every number is an `Estimate` over
images, averaged over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.measurements.question_semantics import SemanticsTable
from mmflow_bench.mechanisms.bands import least_effect
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.verdicts import NotApplicable
from mmflow_bench.statistics.association import trend
from mmflow_bench.statistics.averaged import AveragedMeans
from mmflow_bench.statistics.resampling import (
    ImageStatistic,
    Numbers,
    Weights,
    between,
    image_means,
)

_Curve = Float[ndarray, "layer"]
_Reading = Callable[[Float[ndarray, "draw layer"]], Numbers]


class TaskLoss(NamedTuple):
    """The loss of every sample of a task, a fraction."""

    question_ids: Sequence[str]
    image_ids: Sequence[str]
    loss: Float[ndarray, "sample layer"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ModuleLoss:
    """What is lost without a module in windows of layers, by the first layer of the window.

    A window is cut off at the end of the decoder: the last ones are shorter, and only the first of
    them are of equal length.
    """

    name: str
    """For readers, e.g. `loss without mlp`."""
    tasks: Mapping[str, TaskLoss]
    width: int
    """Layers of a window."""
    alpha: float
    lowest: float = 0.0
    """What an image may have, seen or not; a loss is no gain, a difference of losses may be."""

    @classmethod
    def of(cls, tables: Sequence[SemanticsTable], *, width: int, alpha: float) -> ModuleLoss:
        """The loss that tables tell, one of every task; together it is their mean.

        Raises:
            MechanismError: There is no table.
        """
        if not tables:
            raise MechanismError("at least one task that a loss is averaged over, got none")
        return cls(
            name=f"loss without {tables[0].without}",
            tasks={
                one.task: TaskLoss(one.question_ids, one.image_ids, 1 - one.similarity)
                for one in tables
            },
            width=tables[0].window or width,
            alpha=alpha,
        )

    @cached_property
    def means(self) -> AveragedMeans:
        """The mean over tasks of their mean losses, as a function of image weights."""
        return AveragedMeans([image_means(one.loss, one.image_ids) for one in self.tasks.values()])

    @property
    def layers(self) -> int:
        return len(self.means.mean)

    @cached_property
    def first(self) -> Estimate:
        """Without the module in the window that begins in the first layer."""
        return self._ends("at the first layer", lambda curves: curves[:, 0])

    @cached_property
    def last(self) -> Estimate:
        """Without it in the last layer alone."""
        return self._ends("at the last layer", lambda curves: curves[:, -1])

    @cached_property
    def area(self) -> Estimate:
        """The mean over all layers."""
        return self._ends("mean over layers", lambda curves: curves.mean(axis=1))

    @cached_property
    def share_above_zero(self) -> Estimate:
        """The share of the layers at which it is more than nothing."""
        least = least_effect(0.0)

        def share(curves: Float[ndarray, "draw layer"]) -> Numbers:
            is_undefined = np.isnan(curves).any(axis=1)
            return np.where(is_undefined, np.nan, (curves > least).mean(axis=1))

        return self._ends("share of layers above zero", share)

    @cached_property
    def trend(self) -> Estimate:
        """Spearman's rank correlation with the first layer of the window: -1 where it shrinks."""
        return self._trend(self.layers, "trend")

    @cached_property
    def trend_of_whole_windows(self) -> Estimate:
        """The same over the windows that are not cut off, so that all are of one length.

        Raises:
            MechanismError: There are no two of them.
        """
        whole = self.layers - self.width + 1
        if whole < 2:
            raise MechanismError(
                f"windows of fewer layers than the {self.layers} of the decoder, got {self.width} "
                f"({self.name}); use a smaller --window"
            )
        return self._trend(whole, "trend of whole windows")

    def __sub__(self, other: ModuleLoss) -> ModuleLoss:
        """By how much more is lost than without another module, on the samples of both.

        Raises:
            NotApplicable: A task has no sample that both are known of.
        """
        tasks = {
            task: _difference(task, own, other.tasks[task]) for task, own in self.tasks.items()
        }
        name = f"{self.name} - {other.name}"
        return replace(self, name=name, tasks=tasks, lowest=self.lowest - 1.0)

    def _ends(self, what: str, reading: _Reading) -> Estimate:
        """An estimate that is lowest where an unseen image has the least everywhere."""
        ends = np.full(self.layers, self.lowest), np.ones(self.layers)
        return self._estimate(what, reading, *ends, unit="fraction")

    def _trend(self, layers: int, what: str) -> Estimate:
        rising = np.linspace(self.lowest, 1.0, self.layers)
        return self._estimate(
            what, lambda curves: trend(curves[:, :layers]), rising[::-1], rising, unit="ratio"
        )

    def _estimate(
        self, what: str, reading: _Reading, low: _Curve, high: _Curve, *, unit: str
    ) -> Estimate:
        """A number of the mean curve; an unseen image may have any curve from `low` to `high`."""
        means = self.means

        def with_unseen(curve: _Curve) -> Callable[[Weights], Numbers]:
            return lambda weights: reading(means.curves_with_unseen(curve, weights))

        return Estimate(
            source=ImageStatistic(
                means.images,
                lambda weights: reading(means.curves(weights)),
                between(with_unseen(low), with_unseen(high)),
            ),
            name=f"{what} of {self.name}, mean over {len(self.tasks)}",
            unit=unit,
            n=sum(len(one.loss) for one in self.tasks.values()),
            alpha=self.alpha,
            curve=tuple(means.mean.tolist()),
        )


def _difference(task: str, own: TaskLoss, other: TaskLoss) -> TaskLoss:
    place = {question: i for i, question in enumerate(other.question_ids)}
    kept = [i for i, question in enumerate(own.question_ids) if question in place]
    if not kept:
        raise NotApplicable(f"no sample of {task} is known without either module")
    theirs = [place[own.question_ids[i]] for i in kept]
    return TaskLoss(
        [own.question_ids[i] for i in kept],
        [own.image_ids[i] for i in kept],
        own.loss[kept] - other.loss[theirs],
    )

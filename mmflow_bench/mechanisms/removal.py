"""What an answer loses, and what it saves, when the image is gone from a layer on (App. F).

Samples of several tasks are one here, as the paper's average over data sets is: an accuracy that
is kept within two points takes more images than a task has (docs/decisions/045).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from mmflow_bench.measurements.removal import RemovalTable
from mmflow_bench.measurements.removal_time import RemovalTimeTable
from mmflow_bench.mechanisms.bands import INTACT
from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Kind
from mmflow_bench.mechanisms.several import all_of
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Weights,
    between,
    image_means,
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RemovalCurve:
    """Losses and savings by the first layer without the image, over samples of some tasks.

    A loss is positive. Images are drawn again; one that was not seen may lose its answers at every
    layer, or gain them.
    """

    tables: Sequence[RemovalTable]
    """Of one checkpoint, each with samples."""
    alpha: float
    margin: float = INTACT
    """An accuracy that loses less than this is intact."""

    @property
    def layers(self) -> tuple[int, ...]:
        """The first layer without the image, ascending; at last the depth of the decoder."""
        return self.tables[0].layers

    @property
    def samples(self) -> int:
        return len(self._lost)

    @property
    def images(self) -> int:
        return len(self._means.images)

    def accuracy(self, layer: int) -> float:
        """The share of right answers with the image gone from `layer` on."""
        column = self.layers.index(layer)
        return float(self._right[:, column].mean())

    def accuracy_lost(self, layer: int) -> Estimate:
        """Points of accuracy, as a fraction, with the image gone from `layer` on.

        Paired: both answers are to the same question. One-sided, since it is asked whether it is
        small (docs/decisions/045).
        """
        return self._mean("accuracy lost", self._lost, layer, lowest=-1.0, tails=1)

    def operations_saved(self, layer: int) -> Estimate:
        """The share of the decoder's operations that is not needed, prompt and answer together."""
        operations = _joined([table.operations for table in self.tables])
        return self._mean("operations saved", _saved(operations), layer)

    def cache_saved(self, layer: int) -> Estimate:
        """The share of keys and values that need not be kept."""
        return self._mean("cache saved", _saved(self._cached), layer)

    def layer_at(self, depth: float) -> int:
        """The first of `layers` at a depth, or beyond it."""
        least = depth * self.layers[-1] - 1e-9
        return next(layer for layer in self.layers if layer >= least)

    @cached_property
    def knee(self) -> Estimate:
        """The least depth from which on, and at every later one, the accuracy is intact."""
        worst, best = (self._means.with_unseen(self._unseen(end)) for end in (1.0, -1.0))
        statistic = partial(_knee, layers=np.array(self.layers), margin=self.margin)
        return Estimate(
            source=ImageStatistic(
                self._means.images,
                partial(statistic, self._means),
                between(partial(statistic, best), partial(statistic, worst)),
            ),
            name=f"knee of the accuracy {self._where}",
            unit="depth",
            n=self.samples,
            alpha=self.alpha,
            kind=Kind.PLACE,
        )

    def never_recovers(self, most: float) -> Comparison:
        """Whether below the knee no earlier layer has an accuracy higher by `most` or more.

        From each of `layers` to the one before it; where the knee is the earliest of them, from
        there to the next.
        """
        knee = round(self.knee.value * self.layers[-1])
        last = max(1, self.layers.index(knee))
        pairs = zip(self.layers[:last], self.layers[1 : last + 1], strict=True)
        recovered = [self.accuracy_lost(late) - self.accuracy_lost(early) for early, late in pairs]
        return all_of([step < most for step in recovered])

    @cached_property
    def _lost(self) -> Float[ndarray, "sample layer"]:
        lost: Float[ndarray, "sample layer"] = self._right[:, -1:] - self._right
        return lost

    @cached_property
    def _right(self) -> Float[ndarray, "sample layer"]:
        return _joined([table.is_correct for table in self.tables]).astype(float)

    @cached_property
    def _cached(self) -> Float[ndarray, "sample layer"]:
        return _joined([table.cache_bytes for table in self.tables])

    @cached_property
    def _image_ids(self) -> tuple[str, ...]:
        return tuple(image for table in self.tables for image in table.image_ids)

    @cached_property
    def _means(self) -> ImageMeans:
        return image_means(self._lost, self._image_ids)

    @property
    def _where(self) -> str:
        gone = {"image": "the image", "unrelated": "what is not related"}[self.tables[0].removed]
        return f"without {gone} on {_tasks(self.tables)}"

    def _unseen(self, lost: float) -> Float[ndarray, "layer"]:
        """The losses of an image that loses as much at every layer; with all of it, nothing."""
        return np.append(np.full(len(self.layers) - 1, lost), 0.0)

    def _mean(
        self,
        what: str,
        values: Float[ndarray, "sample layer"],
        layer: int,
        *,
        lowest: float = 0.0,
        tails: int = 2,
    ) -> Estimate:
        """The mean at one layer; an image that was not seen has from `lowest` to 1 there."""
        means = image_means(values, self._image_ids)
        column = partial(_column, index=self.layers.index(layer))
        worst, best = (means.with_unseen(self._unseen(end)) for end in (lowest, 1.0))
        return Estimate(
            source=ImageStatistic(
                means.images,
                partial(column, means),
                between(partial(column, worst), partial(column, best)),
            ),
            name=f"{what} from layer {layer} on, {self._where}",
            unit="fraction",
            n=self.samples,
            alpha=self.alpha,
            tails=tails,
        )


def accuracy_lost(
    before: Sequence[bool], after: Sequence[bool], image_ids: Sequence[str], *, alpha: float
) -> Estimate:
    """Points of accuracy, as a fraction, between two answers to each of some samples.

    One-sided, and an image that was not seen may lose or gain everything, as in a `RemovalCurve`.
    """
    lost = (np.array(before, float) - np.array(after, float))[:, None]
    means = image_means(lost, image_ids)
    low, high = (partial(_column, means.with_unseen(np.array([e])), index=0) for e in (-1.0, 1.0))
    return Estimate(
        source=ImageStatistic(means.images, partial(_column, means, index=0), between(low, high)),
        name="accuracy lost",
        unit="fraction",
        n=len(lost),
        alpha=alpha,
        tails=1,
    )


def time_saved(tables: Sequence[RemovalTimeTable], *, alpha: float) -> Estimate:
    """The share of time that answers save without the image in the last half of the layers."""
    saved = _joined([1.0 - table.removed / table.whole for table in tables])[:, None]
    means = image_means(saved, [image for table in tables for image in table.image_ids])
    return Estimate(
        source=ImageStatistic(means.images, partial(_column, means, index=0)),
        name=f"time saved without the image in the last half of the layers on {_tasks(tables)}",
        unit="fraction",
        n=len(saved),
        alpha=alpha,
    )


def _tasks(tables: Sequence[RemovalTable | RemovalTimeTable]) -> str:
    return tables[0].task if len(tables) == 1 else f"{len(tables)} tasks"


def _column(means: Means, weights: Weights, *, index: int) -> Float[ndarray, "draw"]:
    return means.curves(weights)[:, index]


def _knee(
    means: Means, weights: Weights, *, layers: Int[ndarray, "layer"], margin: float
) -> Float[ndarray, "draw"]:
    """The first layer of which it and all later ones lose less than a margin, as a depth."""
    is_intact: Bool[ndarray, "draw layer"] = means.curves(weights) < margin
    stays = np.flip(np.logical_and.accumulate(np.flip(is_intact, axis=1), axis=1), axis=1)
    depths: Float[ndarray, "draw"] = layers[stays.argmax(axis=1)] / layers[-1]
    return depths


def _saved(cost: Float[ndarray, "sample layer"]) -> Float[ndarray, "sample layer"]:
    saved: Float[ndarray, "sample layer"] = 1.0 - cost / cost[:, -1:]
    return saved


def _joined(parts: Sequence[ndarray]) -> ndarray:
    return np.concatenate(parts)

"""The mean over several groups of samples, tasks say, in which every group counts the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.resampling import ImageMeans, Means, Weights


class AveragedMeans:
    """Mean curves averaged over groups, as functions of image weights.

    A draw of images reaches every group: an image may have samples in several. Where it leaves a
    group without any, there is no mean.
    """

    def __init__(self, groups: Sequence[ImageMeans]) -> None:
        self.images = tuple(sorted(set().union(*(group.images for group in groups))))
        place = {image: i for i, image in enumerate(self.images)}
        self._columns = [np.array([place[image] for image in group.images]) for group in groups]
        self._groups = groups
        self.mean: Float[ndarray, "layer"] = np.mean([group.mean for group in groups], axis=0)
        """The mean curve."""

    def curves(self, weights: Weights) -> Float[ndarray, "draw layer"]:
        """The mean curve for every row of weights; NaN where a group has no sample."""
        return _average(self._groups, [weights[:, columns] for columns in self._columns])

    def curves_with_unseen(
        self, curve: Float[ndarray, "layer"], weights: Weights
    ) -> Float[ndarray, "draw layer"]:
        """The same with one image more, the last column, that has `curve` in every group."""
        last = len(self.images)
        groups = [group.with_unseen(curve) for group in self._groups]
        return _average(groups, [weights[:, [*columns, last]] for columns in self._columns])


def _average(groups: Sequence[Means], weights: Sequence[Weights]) -> Float[ndarray, "draw layer"]:
    curves = [group.curves(own) for group, own in zip(groups, weights, strict=True)]
    return np.asarray(np.mean(curves, axis=0))

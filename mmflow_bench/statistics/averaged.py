"""The mean over several groups of samples, tasks say, in which every group counts the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.statistics.resampling import ImageMeans, Weights


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
        pairs = zip(self._groups, self._columns, strict=True)
        return _average([group.curves(weights[:, columns]) for group, columns in pairs])

    def curves_with_unseen(
        self, curve: Float[ndarray, "layer"], weights: Weights
    ) -> Float[ndarray, "draw layer"]:
        """The same with one image more, the last column, that has `curve` in every group."""
        last, pairs = len(self.images), zip(self._groups, self._columns, strict=True)
        return _average(
            [group.with_unseen(curve).curves(weights[:, [*own, last]]) for group, own in pairs]
        )


def _average(curves: Sequence[Float[ndarray, "draw layer"]]) -> Float[ndarray, "draw layer"]:
    return np.asarray(np.mean(curves, axis=0))

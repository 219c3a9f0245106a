"""The logit lens at the last position over layers: how probable a word would be at each depth.

A `LensCurve` is read by two instruments, with and without the final norm (raw is what the paper's
program did, normed is the usual lens). Each estimate carries both; where they decide differently
the verdict is `instrument-dependent` (docs/decisions/006).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.estimates import Estimate, Kind
from mmflow_bench.mechanisms.thresholds import refuse_empty, refuse_unmeant
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic, Statistic, image_means


@dataclass(frozen=True, kw_only=True, eq=False)
class LensCurve:
    """Probability of a word at the last position, by depth, over samples."""

    name: str
    """For readers, e.g. `noncapitalized on ChooseAttr (normed lens)`."""
    values: Float[ndarray, "sample depth"]
    """Column 0 is the embedding, column l the output of decoder layer l - 1."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    alpha: float
    noise_floor: float = 0.0
    twin: LensCurve | None = None
    """The same by the other lens."""

    @cached_property
    def means(self) -> ImageMeans:
        """The mean curve as a function of image weights."""
        return image_means(self.values, self.image_ids)

    @property
    def layers(self) -> int:
        return int(self.values.shape[1]) - 1

    @cached_property
    def max(self) -> Estimate:
        """The highest mean probability, cross-fitted over halves of the images."""
        return self._estimate("max", lambda curve: lambda w: _cross_fitted_maximum(curve, w))

    def max_until(self, depth: float) -> Estimate:
        """The highest mean probability at layers up to `depth`, cross-fitted.

        Raises:
            MechanismError: The depth is none.
        """
        refuse_unmeant(depth, unit="depth", of=self.name)
        refuse_empty(0.0, depth, of=self.name)
        kept = slice(0, int(np.floor(depth * self.layers + 1e-9)) + 1)
        return self._estimate(
            f"max until depth {depth:g}",
            lambda curve: lambda w: _cross_fitted_maximum(curve, w, kept),
        )

    @cached_property
    def final(self) -> Estimate:
        """The mean probability at the last layer."""
        return self._estimate("last layer", lambda curve: lambda w: curve.means.curves(w)[:, -1])

    @cached_property
    def onset(self) -> Estimate:
        """Depth of the first layer whose output reaches half of the maximum.

        Counted as knockouts are: the output of layer l has depth l / number of layers.
        """
        return _as_place(self._estimate("onset", lambda curve: curve._onset))

    def at(self, depth: float) -> Estimate:
        """The mean probability after the layer at `depth`."""
        column = round(depth * self.layers) + 1
        if not 0 <= column <= self.layers:
            raise MechanismError(
                f"a depth from 0 to the last layer's, {(self.layers - 1) / self.layers:g}, got "
                f"{depth:g} ({self.name}); 0 is the first layer"
            )
        return self._estimate(
            f"at depth {depth:g}", lambda curve: lambda w: curve.means.curves(w)[:, column]
        )

    def __add__(self, other: LensCurve) -> LensCurve:
        """The probability of either word, on the samples of both."""
        return self._with(other, np.add, "+")

    def __sub__(self, other: LensCurve) -> LensCurve:
        return self._with(other, np.subtract, "-")

    def _onset(self, weights: Float[ndarray, "draw image"]) -> Float[ndarray, "draw"]:
        curves = self.means.curves(weights)
        return (read.onset(curves, floor=3 * self.noise_floor) - 1) / self.layers

    def _with(self, other: LensCurve, function: np.ufunc, sign: str) -> LensCurve:
        place = {question: i for i, question in enumerate(other.question_ids)}
        kept = [i for i, question in enumerate(self.question_ids) if question in place]
        theirs = [place[self.question_ids[i]] for i in kept]
        twin = None
        if self.twin is not None and other.twin is not None:
            twin = self.twin._with(other.twin, function, sign)
        return replace(
            self,
            name=f"{self.name} {sign} {other.name}",
            values=function(self.values[kept], other.values[theirs]),
            question_ids=tuple(self.question_ids[i] for i in kept),
            image_ids=tuple(self.image_ids[i] for i in kept),
            twin=twin,
        )

    def _estimate(self, what: str, statistic: Callable[[LensCurve], Statistic]) -> Estimate:
        """An estimate by this lens, with the same by the other one beside it."""
        return Estimate(
            source=ImageStatistic(self.means.images, statistic(self)),
            name=f"{what} of {self.name}",
            unit="probability",
            n=len(self.values),
            alpha=self.alpha,
            curve=tuple(self.means.mean.tolist()),
            floor=self.noise_floor,
            twin=self.twin._estimate(what, statistic) if self.twin else None,
        )


def _cross_fitted_maximum(
    curve: LensCurve, weights: Float[ndarray, "draw image"], kept: slice = slice(None)
) -> Float[ndarray, "draw"]:
    first, second = (half[:, kept] for half in curve.means.halves(weights))
    return -read.cross_fitted_minimum(-first, -second)


def _as_place(estimate: Estimate) -> Estimate:
    twin = _as_place(estimate.twin) if estimate.twin else None
    return replace(estimate, unit="depth", kind=Kind.PLACE, floor=0.0, twin=twin)

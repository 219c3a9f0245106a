"""The logit lens at the last position over layers: how probable a word would be at each depth.

A `LensCurve` is read by two instruments, with and without the final norm (raw is what the paper's
program did, normed is the usual lens). Each estimate carries both; where they decide differently
the verdict is `instrument-dependent` (docs/decisions/006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.bands import hidden_by_noise, least_effect
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Kind
from mmflow_bench.mechanisms.thresholds import refuse_empty, refuse_unmeant
from mmflow_bench.statistics import betting as bet
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Reading,
    Weights,
    between,
    image_means,
)


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
    lowest: float = 0.0
    highest: float = 1.0
    """What a single image may have, seen or not."""
    drawn: bet.Drawn | None = None
    """In which order the samples were drawn, where one looks at more and more of them."""

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
        return self._estimate("max", _cross_fitted_maximum, highest=_maximum, columns=slice(None))

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
            partial(_cross_fitted_maximum, kept=kept),
            highest=partial(_maximum, kept=kept),
            columns=kept,
        )

    @cached_property
    def final(self) -> Estimate:
        """The mean probability at the last layer."""
        last = slice(self.layers, None)
        return self._estimate("last layer", lambda means, w: means.curves(w)[:, -1], columns=last)

    @cached_property
    def onset(self) -> Estimate:
        """Depth of the first layer whose output reaches half of the maximum.

        Counted as knockouts are: the output of layer l has depth l / number of layers.
        """
        return _as_place(self._estimate("onset", self._onset, is_place=True))

    def at(self, depth: float) -> Estimate:
        """The mean probability after the layer at `depth`."""
        column = round(depth * self.layers) + 1
        if not 0 <= column <= self.layers:
            raise MechanismError(
                f"a depth from 0 to the last layer's, {(self.layers - 1) / self.layers:g}, got "
                f"{depth:g} ({self.name}); 0 is the first layer"
            )
        return self._estimate(
            f"at depth {depth:g}",
            lambda means, w: means.curves(w)[:, column],
            columns=slice(column, column + 1),
        )

    def __add__(self, other: LensCurve) -> LensCurve:
        """The probability of either word, on the samples of both."""
        return self._with(other, np.add, "+", (self.lowest, self.highest))

    def __sub__(self, other: LensCurve) -> LensCurve:
        ends = (self.lowest - other.highest, self.highest - other.lowest)
        return self._with(other, np.subtract, "-", ends)

    def _onset(self, means: Means, weights: Weights) -> read.Numbers:
        curves = means.curves(weights)
        return (read.onset(curves, floor=least_effect(self.noise_floor)) - 1) / self.layers

    def _with(
        self, other: LensCurve, function: np.ufunc, sign: str, ends: tuple[float, float]
    ) -> LensCurve:
        """Of two words: together they are no more probable than one can be."""
        place = {question: i for i, question in enumerate(other.question_ids)}
        kept = [i for i, question in enumerate(self.question_ids) if question in place]
        theirs = [place[self.question_ids[i]] for i in kept]
        twin = None
        if self.twin is not None and other.twin is not None:
            twin = self.twin._with(other.twin, function, sign, ends)
        return replace(
            self,
            name=f"{self.name} {sign} {other.name}",
            values=function(self.values[kept], other.values[theirs]),
            question_ids=tuple(self.question_ids[i] for i in kept),
            image_ids=tuple(self.image_ids[i] for i in kept),
            twin=twin,
            lowest=ends[0],
            highest=ends[1],
            drawn=self.drawn and self.drawn.only(kept),
        )

    def _unseen(self, is_place: bool) -> tuple[Float[ndarray, "depth"], Float[ndarray, "depth"]]:
        """Curves of the worst images: never or always there, or there first or last."""
        if not is_place:
            depths = self.layers + 1
            return np.full(depths, self.lowest), np.full(depths, self.highest)
        height = float(self.means.mean.max())
        early, late = np.full(self.layers + 1, height), np.zeros(self.layers + 1)
        early[0], late[-1] = 0.0, height
        return early, late

    def _estimate(
        self,
        what: str,
        statistic: Reading,
        *,
        highest: Reading | None = None,
        columns: slice | None = None,
        is_place: bool = False,
    ) -> Estimate:
        """An estimate by this lens, with the same by the other one beside it.

        The highest mean of some `columns` can be bet on.
        """
        least, most = (self.means.with_unseen(curve) for curve in self._unseen(is_place))
        twin = None
        if self.twin is not None:
            twin = self.twin._estimate(
                what, statistic, highest=highest, columns=columns, is_place=is_place
            )
        wager = None
        if columns is not None:
            ends = self.lowest, self.highest
            wager = bet.wager_on(
                self.values[:, columns], self.drawn, bet.Reading.HIGHEST, bounds=ends
            )
        seen, obstacle = float(self.means.mean.max()), ""
        if is_place:
            obstacle = hidden_by_noise(seen, least_effect(self.noise_floor))
        return Estimate(
            source=ImageStatistic(
                self.means.images,
                partial(statistic, self.means),
                between(partial(statistic, least), partial(highest or statistic, most)),
                self.drawn.seen if self.drawn else None,
            ),
            name=f"{what} of {self.name}",
            unit="probability",
            n=len(self.values),
            alpha=self.alpha,
            curve=tuple(self.means.mean.tolist()),
            floor=self.noise_floor,
            obstacle=obstacle,
            twin=twin,
            wager=wager,
            looks=self.drawn.looks if self.drawn else 1.0,
        )


def _cross_fitted_maximum(
    means: Means, weights: Weights, kept: slice = slice(None)
) -> read.Numbers:
    first, second = (half[:, kept] for half in means.halves(weights))
    return -read.cross_fitted_minimum(-first, -second)


def _maximum(means: Means, weights: Weights, kept: slice = slice(None)) -> read.Numbers:
    """Half of the words may miss where it is highest: it is no higher than on the whole."""
    return np.asarray(means.curves(weights)[:, kept].max(axis=1))


def _as_place(estimate: Estimate) -> Estimate:
    twin = _as_place(estimate.twin) if estimate.twin else None
    return replace(estimate, unit="depth", kind=Kind.PLACE, floor=0.0, twin=twin)

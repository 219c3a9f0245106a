"""The curve of one knocked-out edge over layers, and everything a mechanism asks of it.

Every property is an `Estimate` over images. A drop is negative; its peak is the minimum. All places
are depths: layer / number of layers, of the layer in the middle of the knocked-out windows, which
is the layer that is hit (docs/decisions/002).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.bands import EVERYWHERE, NEGLIGIBLE, Band
from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.estimates import FEWEST_IMAGES, Estimate, Kind, Known
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Statistic,
    bootstrap_weights,
    image_means,
)
from mmflow_bench.statistics.simultaneous import Equivalence, deviations, equivalence

TIMES_FLOOR = 3
"""No verdict may rest on an effect below this many times the noise floor (docs/decisions/002)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Relative change of the answer's probability, by the centre of the knocked-out window."""

    name: str
    """For readers, e.g. `question->last on ChooseAttr`."""
    values: Float[ndarray, "sample layer"]
    """One curve for each sample, a fraction; negative is a drop."""
    image_ids: tuple[str, ...]
    width: int
    """Width of the knocked-out window, in layers."""
    alpha: float
    noise_floor: float = 0.0
    """Largest relative change that the instrument makes by itself."""
    band: Band = EVERYWHERE
    """Where the curve is looked at."""

    @cached_property
    def means(self) -> ImageMeans:
        """The mean curve as a function of image weights."""
        return image_means(self.values, self.image_ids)

    @property
    def layers(self) -> int:
        return int(self.values.shape[1])

    @cached_property
    def mean(self) -> tuple[float, ...]:
        return tuple(self.means.mean.tolist())

    def at(self, band: Band) -> Curve:
        """The same curve, looked at within `band` only."""
        return replace(self, band=band)

    @cached_property
    def peak(self) -> Estimate:
        """The deepest drop, cross-fitted: located on half of the images, read on the others."""
        columns = self._columns(self.band)
        return self._estimate(
            "peak",
            lambda w: read.cross_fitted_minimum(*(h[:, columns] for h in self.means.halves(w))),
        )

    def peak_in(self, band: Band) -> Estimate:
        """The deepest drop at a centre in `band`, cross-fitted."""
        return self.at(band).peak

    @cached_property
    def peak_depth(self) -> Estimate:
        """Depth of the layer that is hit where the drop is deepest."""
        columns = self._columns(self.band)
        first, floor = columns[0], self._least_drop
        return self._place(
            "depth of the peak",
            lambda curves: first + read.plateau_midpoint(curves[:, columns], floor=floor),
        )

    @cached_property
    def centre(self) -> Estimate:
        """Mean depth, weighted by the drop."""
        centre = partial(read.drop_weighted_centre, floor=self._least_drop)
        return replace(self._place("centre", centre), kind=Kind.CENTRE)

    @cached_property
    def first_depth(self) -> Estimate:
        """Depth of the first layer that a window holds while the drop is at least half its peak."""
        support, reach = partial(read.support, floor=self._least_drop), self.width // 2
        return self._place("first layer", lambda c: np.maximum(0, support(c)[0] - reach))

    @cached_property
    def last_depth(self) -> Estimate:
        """Depth of the last layer that a window holds while the drop is at least half its peak."""
        support, reach = partial(read.support, floor=self._least_drop), self.width // 2
        last = self.layers - 1
        return self._place("last layer", lambda c: np.minimum(last, support(c)[1] + reach))

    @cached_property
    def band_mean(self) -> Estimate:
        """The mean change over the centres looked at."""
        columns = self._columns(self.band)
        return self._estimate("mean", lambda w: self.means.curves(w)[:, columns].mean(axis=1))

    def prominence(self, early: Band, late: Band) -> Estimate:
        """How far the curve recovers between a drop in `early` and one in `late`, cross-fitted.

        Over the shallower of the two, so that one drop alone has none.
        """
        one, two = np.array(self._columns(early)), np.array(self._columns(late))
        return self._estimate(
            "prominence of two drops",
            lambda w: read.cross_fitted_prominence(*self.means.halves(w), early=one, late=two),
        )

    def overlap(self, other: Curve) -> Estimate:
        """Shared area of two drops, each scaled to area one, on the images of both."""
        common = set(self.means.images) & set(other.means.images)
        one, two = self._only(common), other._only(common)
        floor, first, second = self._least_drop, one.means.curves, two.means.curves
        estimate = one._estimate(
            f"overlap (width {self.width}) with {other.name}",
            lambda weights: read.overlap(first(weights), second(weights), floor=floor),
        )
        return replace(estimate, unit="ratio", floor=0.0)

    @cached_property
    def is_present(self) -> Comparison:
        """Whether there is a drop beyond what counts as negligible: nothing else has a place."""
        return self.peak <= -NEGLIGIBLE

    def equivalent_to_zero(self, margin: float) -> Comparison:
        """Whether the whole curve is zero up to a margin: the paper's "negligible", "not observed".

        Two one-sided tests on the simultaneous band: it holds when the 1 - 2 alpha band lies within
        +-`margin` at every layer, and fails when it lies beyond the margin at some layer
        (docs/decisions/005). The interval shown is what the band spans.
        """
        columns, images = self._columns(self.band), len(self.means.images)
        described = replace(self.peak, name=f"extreme of {self.name}{self._where}")
        # The largest change is what a reader asks for beside the claim that all are small.
        mean = self.means.mean[columns]
        extreme = float(mean[np.abs(mean).argmax()])
        verdict, bounds, p_values = Verdict.INCONCLUSIVE, Interval(np.nan, np.nan), (1.0, 1.0)
        if images >= FEWEST_IMAGES:
            draws = self.means.curves(bootstrap_weights(images))[:, columns]
            test = equivalence(
                mean,
                deviations(mean, draws, images=images),
                margin=margin,
                alpha=self.alpha,
                floor=self.noise_floor,
            )
            verdict, p_values = _verdict(test, margin), (test.p_inside, test.p_outside)
            bounds = Interval(float(test.low.min()), float(test.high.max()))
        return Comparison(
            verdict=verdict,
            estimate=replace(described, source=Known(extreme, bounds, described.images)),
            threshold=f"+-{formatted(margin, described.unit)}",
            p_hold=p_values[0],
            p_fail=p_values[1],
            qualifier=described.caution,
        )

    @property
    def largest_change(self) -> Estimate:
        """The largest change in any sample at any layer; exact, since nothing is sampled."""
        value = float(np.abs(self.values).max())
        source = Known(value, Interval(value, value), self.peak.images)
        return replace(self.peak, source=source, name=f"largest change of {self.name}")

    @property
    def _least_drop(self) -> float:
        return TIMES_FLOOR * self.noise_floor

    @property
    def _where(self) -> str:
        centres = self._columns(self.band)
        return "" if self.band == EVERYWHERE else f" (centres {centres[0]}-{centres[-1]})"

    def _columns(self, band: Band) -> list[int]:
        columns = list(band.centres(self.layers, self.width))
        if not columns:
            raise MechanismError(
                f"a window that leaves layers between depth {band.low:g} and {band.high:g}, got "
                f"width {self.width} of {self.layers} layers ({self.name}); use a smaller --window"
            )
        return columns

    def _only(self, images: set[str]) -> Curve:
        kept = [i for i, image in enumerate(self.image_ids) if image in images]
        return replace(
            self, values=self.values[kept], image_ids=tuple(self.image_ids[i] for i in kept)
        )

    def _estimate(self, what: str, statistic: Statistic) -> Estimate:
        return Estimate(
            source=ImageStatistic(self.means.images, statistic),
            name=f"{what} of {self.name}{self._where}",
            unit="fraction",
            n=len(self.values),
            alpha=self.alpha,
            curve=self.mean,
            floor=self.noise_floor,
        )

    def _place(self, what: str, layer: Callable[[read.Curves], read.Numbers]) -> Estimate:
        estimate = self._estimate(what, lambda w: layer(self.means.curves(w)) / self.layers)
        return replace(estimate, unit="depth", kind=Kind.PLACE, floor=0.0)


def _verdict(test: Equivalence, margin: float) -> Verdict:
    if ((test.high < -margin) | (test.low > margin)).any():
        return Verdict.FAILS
    is_inside = test.low.min() >= -margin and test.high.max() <= margin
    return Verdict.HOLDS if is_inside else Verdict.INCONCLUSIVE

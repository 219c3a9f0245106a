"""The curve of one knocked-out edge over layers, and everything a mechanism asks of it.

Every property is an `Estimate` over images. A drop is negative; its peak is the minimum. All places
are depths: layer / number of layers, of the layer in the middle of the knocked-out windows, which
is the layer that is hit (docs/decisions/002).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.bands import (
    EVERYWHERE,
    NEGLIGIBLE,
    Band,
    hidden_by_noise,
    least_effect,
)
from mmflow_bench.mechanisms.beyond import Beyond
from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Kind, Known
from mmflow_bench.mechanisms.likeness import correlation_of
from mmflow_bench.mechanisms.nulls import Null, null_by_bets, null_of
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.places import Drop, Place, drop_of, overlap_of, place_of
from mmflow_bench.mechanisms.thresholds import refuse_empty, refuse_unmeant
from mmflow_bench.statistics import betting as bet
from mmflow_bench.statistics import curves as read
from mmflow_bench.statistics import drops
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.resampling import (
    ImageMeans,
    ImageStatistic,
    Means,
    Reading,
    Weights,
    between,
    image_means,
)

CHANGES = (-1.0, 1.0)
"""What is bet on: all is lost, or the answer is twice as probable; what gains more counts as that.
"""


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
    ends: tuple[float, float] = (-1.0, 0.0)
    """The least and the greatest change that every image may show, whatever those at hand show."""
    beyond: Beyond | None = None
    """Only what lies beyond the first drop is looked at."""
    drawn: bet.Drawn | None = None
    """In which order the samples were drawn, where one looks at more and more of them."""
    counts_unseen: bool = True
    """Whether images that were not seen may do otherwise; a second opinion asks about the
    instrument, on the images that there are."""

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

    def after(self, single: Curve) -> Curve:
        """The same, looked at only where no window holds a layer of the first drop.

        Which layers those are is read off `single`, a curve of single layers, on the images of both
        (docs/decisions/023). It holds for peaks, places and the later of two drops.
        """
        common = set(self.means.images) & set(single.means.images)
        means, reach = single._only(common).means, self.width // 2
        beyond = Beyond(means, reach=reach, floor=self._least_drop)
        return replace(self._only(common), beyond=beyond)

    @cached_property
    def peak(self) -> Estimate:
        """The deepest drop, cross-fitted: located on half of the images, read on the others."""
        columns = self._columns(self.band)
        if (beyond := self.beyond) is not None:
            return self._estimate(
                "peak beyond the first drop",
                lambda means, w: drops.cross_fitted_minimum_in(
                    means.halves(w), beyond.halves(w, columns)
                ),
                lowest=lambda means, w: beyond.lowest(means, w, columns),
            )
        return self._estimate(
            "peak",
            lambda means, w: read.cross_fitted_minimum(*(h[:, columns] for h in means.halves(w))),
            # Half of the images may miss where the drop is: it is no deeper than the whole's.
            lowest=lambda means, w: means.curves(w)[:, columns].min(axis=1),
            wager=self._wager(self.values[:, columns], bet.Reading.LOWEST),
        )

    def peak_in(self, band: Band) -> Estimate:
        """The deepest drop at a centre in `band`, cross-fitted."""
        return self.at(band).peak

    @cached_property
    def peak_depth(self) -> Estimate:
        """Depth of the layer that is hit where the drop is deepest."""
        columns, floor = self._columns(self.band), self._least_drop
        return self._place(
            "depth of the peak",
            lambda curves, layers: (
                columns[0]
                + read.plateau_midpoint(np.where(layers, curves, 0.0)[:, columns], floor=floor)
            ),
            columns,
        )

    @cached_property
    def centre(self) -> Estimate:
        """Mean depth, weighted by the drop, over the layers at which it is shown."""
        centre = partial(read.drop_weighted_centre, floor=self._least_drop)
        return replace(self._place("centre", centre), kind=Kind.CENTRE)

    @cached_property
    def first_depth(self) -> Estimate:
        """Depth of the first layer that a window holds while the drop is at least half its peak."""
        reach = self.width // 2
        return self._place(
            "first layer", lambda c, layers: np.maximum(0, self._support(c, layers)[0] - reach)
        )

    @cached_property
    def last_depth(self) -> Estimate:
        """Depth of the last layer that a window holds while the drop is at least half its peak."""
        reach, last = self.width // 2, self.layers - 1
        return self._place(
            "last layer", lambda c, layers: np.minimum(last, self._support(c, layers)[1] + reach)
        )

    @cached_property
    def band_mean(self) -> Estimate:
        """The mean change over the centres looked at."""
        columns = self._columns(self.band)
        averaged = self.values[:, columns].mean(axis=1, keepdims=True)
        return self._estimate(
            "mean",
            lambda means, w: means.curves(w)[:, columns].mean(axis=1),
            wager=self._wager(averaged, bet.Reading.LOWEST),
        )

    def prominence(self, early: Band, late: Band) -> Estimate:
        """How far the curve recovers between a drop in `early` and one in `late`, cross-fitted.

        Over the shallower of the two, so that one drop alone has none.
        """
        one, two = self._columns(early), self._columns(late)
        first, second = self._first_and_second(one, two)
        # The worst image loses everything between the drops and nothing at them, or the reverse.
        valley, both = np.zeros(self.layers), np.zeros(self.layers)
        valley[first + 1 : second] = -1.0
        both[[first, second]] = -1.0
        return self._estimate(
            "prominence of two drops",
            lambda means, w: drops.cross_fitted_prominence_of(
                means.halves(w),
                self._halves(w, one, is_beyond=False),
                self._halves(w, two, is_beyond=True),
            ),
            unseen=(valley, both),
        )

    def overlap(self, other: Curve) -> Estimate:
        """Shared area of two drops, each scaled to area one, on the images of both.

        At the layers at which each is shown. Its upper bound counts what is not shown as well.
        """
        common = set(self.means.images) & set(other.means.images)
        pair = self._only(common), other._only(common)
        one, two = (curve._drop(list(range(curve.layers))) for curve in pair)
        source = overlap_of(
            (pair[0].means, pair[1].means),
            (one, two),
            floor=self._least_drop,
            counts_unseen=self.counts_unseen,
        )
        estimate = pair[0]._estimate(f"overlap (width {self.width}) with {other.name}", _none)
        source = replace(source, seen=self._seen)
        obstacle = one.obstacle or two.obstacle
        return replace(estimate, source=source, unit="ratio", floor=0.0, obstacle=obstacle)

    def correlation(self, other: Curve) -> Estimate:
        """Pearson's correlation with another curve over layers, on the images of both.

        Not defined where one of the two is flat.
        """
        common = set(self.means.images) & set(other.means.images)
        one, two = self._only(common), other._only(common)
        source = correlation_of(
            one.means, two.means, floor=self._least_drop, counts_unseen=self.counts_unseen
        )
        source = replace(source, seen=self._seen)
        estimate = one._estimate(f"correlation with {other.name}", _none)
        flattest = min(float(np.ptp(curve.means.mean)) for curve in (one, two))
        obstacle = hidden_by_noise(flattest, self._least_drop)
        return replace(estimate, source=source, unit="ratio", floor=0.0, obstacle=obstacle)

    @cached_property
    def is_present(self) -> Comparison:
        """Whether there is a drop beyond what counts as negligible: nothing else has a place."""
        return self.peak <= -NEGLIGIBLE

    def equivalent_to_zero(self, margin: float) -> Comparison:
        """Whether the whole curve is zero up to a margin: the paper's "negligible", "not observed".

        Two one-sided tests on the simultaneous band: it holds when the 1 - 2 alpha band lies within
        +-`margin` at every layer, and fails when it lies beyond the margin at some layer
        (docs/decisions/005). The interval shown is what the band spans.

        Raises:
            MechanismError: The margin is none: negative, or larger than the whole.
        """
        refuse_unmeant(margin, unit=self.peak.unit, of=self.name)
        refuse_empty(-margin, margin, of=self.name)
        columns = self._columns(self.band)
        described = replace(self.peak, name=f"extreme of {self.name}{self._where}")
        null = self._null(columns, margin)
        return Comparison(
            verdict=null.verdict,
            estimate=replace(
                described, source=Known(null.extreme, null.interval, described.images)
            ),
            threshold=f"+-{formatted(margin, described.unit)}",
            p_hold=null.hold.p,
            p_fail=null.fail.p,
            qualifier=described.caution,
            reason=null.reason,
        )

    @property
    def largest_change(self) -> Estimate:
        """The largest change in any sample at any layer; exact, since nothing is sampled."""
        value = float(np.abs(self.values).max())
        source = Known(value, Interval(value, value), self.peak.images)
        return replace(self.peak, source=source, name=f"largest change of {self.name}")

    def _null(self, columns: list[int], margin: float) -> Null:
        lowest, highest = (self._wager(self.values[:, columns], one) for one in bet.Reading)
        if lowest is not None and highest is not None:
            return null_by_bets(
                lowest, highest, margin=margin, alpha=self.alpha, floor=self.noise_floor
            )
        return null_of(
            self.means,
            columns,
            margin=margin,
            alpha=self.alpha,
            floor=self.noise_floor,
            unseen=self._unseen() if self.counts_unseen else None,
        )

    def _wager(
        self, values: Float[ndarray, "sample column"], reading: bet.Reading
    ) -> bet.Wager | None:
        return bet.wager_on(values, self.drawn, reading, bounds=CHANGES)

    @property
    def _looks(self) -> float:
        return self.drawn.looks if self.drawn else 1.0

    @property
    def _seen(self) -> float | None:
        return self.drawn.seen if self.drawn else None

    @property
    def _least_drop(self) -> float:
        return least_effect(self.noise_floor)

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

    def _halves(
        self, weights: Weights, columns: list[int], *, is_beyond: bool
    ) -> tuple[drops.Places, drops.Places]:
        """Of `columns` those of one of two drops, by either half of the images."""
        if self.beyond is not None:
            return self.beyond.halves(weights, columns, is_beyond=is_beyond)
        asked = np.isin(np.arange(self.layers), columns)
        every = np.broadcast_to(asked, (len(weights), self.layers))
        return every, every

    def _first_and_second(self, early: list[int], late: list[int]) -> tuple[int, int]:
        """The centres at which the mean curve has two drops."""
        after = self.beyond.centres(late) if self.beyond is not None else late
        before = sorted({*early} - {*after}) or early
        one, two = (min(columns, key=self.mean.__getitem__) for columns in (before, after or late))
        return one, two

    def _only(self, images: set[str]) -> Curve:
        kept = [i for i, image in enumerate(self.image_ids) if image in images]
        return replace(
            self,
            values=self.values[kept],
            image_ids=tuple(self.image_ids[i] for i in kept),
            drawn=self.drawn and self.drawn.only(kept),
        )

    def _unseen(self) -> tuple[Float[ndarray, "layer"], Float[ndarray, "layer"]]:
        """Curves of unseen images: everything is lost, or nothing but what some have gained."""
        lowest = min(self.ends[0], float(self.values.min()))
        highest = max(self.ends[1], float(self.values.max()))
        return np.full(self.layers, lowest), np.full(self.layers, highest)

    def _estimate(
        self,
        what: str,
        statistic: Reading,
        *,
        unseen: tuple[ndarray, ndarray] | None = None,
        lowest: Reading | None = None,
        wager: bet.Wager | None = None,
    ) -> Estimate:
        worst, best = (self.means.with_unseen(curve) for curve in unseen or self._unseen())
        low, high = partial(lowest or statistic, worst), partial(statistic, best)
        return Estimate(
            source=ImageStatistic(
                self.means.images,
                partial(statistic, self.means),
                between(low, high) if self.counts_unseen else None,
                self._seen,
            ),
            name=f"{what} of {self.name}{self._where}",
            unit="fraction",
            n=len(self.values),
            alpha=self.alpha,
            curve=self.mean,
            floor=self.noise_floor,
            wager=wager,
            looks=self._looks,
        )

    def _support(self, curves: read.Curves, layers: read.Layers) -> tuple[read.Numbers, ...]:
        return read.support(np.where(layers, curves, 0.0), floor=self._least_drop)

    def _drop(self, columns: list[int]) -> Drop:
        return drop_of(
            self.means,
            columns,
            width=self.width,
            floor=self._least_drop,
            alpha=self.alpha / self._looks,
            seen=self._seen,
        )

    def _place(
        self,
        what: str,
        layer: Place,
        columns: list[int] | None = None,
    ) -> Estimate:
        """A depth, of the layers at which a drop is shown."""
        columns = columns or list(range(self.layers))
        if self.beyond is not None:
            columns = self.beyond.centres(columns)
        estimate = replace(self._estimate(what, _none), unit="depth", kind=Kind.PLACE, floor=0.0)
        if not columns:
            return estimate  # Of nothing, which has no place.
        drop = self._drop(columns)
        source = place_of(
            self.means,
            drop,
            lambda curves, layers: layer(curves, layers) / self.layers,
            counts_unseen=self.counts_unseen,
        )
        source = replace(source, seen=self._seen)
        return replace(estimate, source=source, obstacle=drop.obstacle)


def _none(_: Means, weights: Weights) -> read.Numbers:
    return np.full(len(weights), np.nan)

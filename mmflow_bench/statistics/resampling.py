"""Numbers as functions of how often each image is drawn, which is all that resampling needs.

The unit of inference is the sample, and samples of one image form a cluster: they are not
independent. A bootstrap draw is therefore a weight for every image. Writing each statistic as a
function of a whole matrix of weights gives its value (all weights one), its bootstrap replicates
and its jackknife by the same code, in one matrix product for all layers; and two statistics are
paired as soon as they see the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from weakref import ref
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy import ndarray

from mmflow_bench.statistics.remembering import remembered
from mmflow_bench.statistics.unseen import ROOM, unseen_weights

DRAWS = 2000
SEED = 241118620
JACKKNIFE_GROUPS = 200
"""Most images are left out one by one; more than this many, in groups of equal size."""

KEPT = 4
"""Draws, jackknife and unseen image: weights that are shared, and those of a larger set."""
SHARED = 64
"""Curves whose sums over the draws are kept, a megabyte each at 30 layers."""

Weights = Real[ndarray, "draw image"]
Known = list[tuple[ref[ndarray], ndarray]]
"""Weights and what was worked out for them; weights of thousands of images are large, and nobody
asks for these again once they have been forgotten."""
Numbers = Float[ndarray, "draw"]
Statistic = Callable[[Weights], Numbers]
Extremes = Callable[[Weights, bool], tuple[Numbers, Numbers]]
"""The lowest and the highest number that one unseen image more can make.

Of weights whose last column is that image's, and of whether it behaves alike in all parts.
"""
MOST_CORNERS = 3
"""An unseen image behaves in every combination of ways in so many parts, in more it does alike."""


@remembered(ROOM)
def bootstrap_weights(images: int, of: int | None = None) -> Weights:
    """How often each image is drawn, for every bootstrap draw; the same on every call.

    Of a finite set the images at hand are there once, and the rest is guessed from them: each of
    those is drawn from the images at hand and those that were guessed before it (the Polya
    posterior of Ghosh and Meeden 1997). Once all are at hand every weight is one.

    Args:
        images: How many there are.
        of: Of how many they were drawn without replacement; None of infinitely many.
    """
    generator = np.random.default_rng([SEED, images])
    if of is not None:
        shares = generator.dirichlet(np.ones(images), size=DRAWS)
        return _counts(1 + generator.multinomial(of - images, shares))
    drawn = generator.integers(images, size=(DRAWS, images))
    cells = drawn + images * np.arange(DRAWS)[:, None]
    return _counts(np.bincount(cells.ravel(), minlength=DRAWS * images).reshape(DRAWS, images))


def _counts(drawn: Int[ndarray, "draw image"]) -> Weights:
    """The same in as few bytes as they need: one each, mostly."""
    weights: Weights = drawn.astype(np.min_scalar_type(int(drawn.max())))
    weights.setflags(write=False)
    return weights


@remembered(ROOM)
def jackknife_weights(images: int) -> Weights:
    """All images but one, or but one group, for every image or group."""
    groups = min(images, JACKKNIFE_GROUPS)
    left_out = np.arange(images)[None, :] % groups == np.arange(groups)[:, None]
    weights: Weights = 1.0 - left_out
    weights.setflags(write=False)
    return weights


def size_of_set(images: int, seen: float | None) -> int | None:
    """Of how many images some are such a share; None where they stand for infinitely many."""
    return None if seen is None else round(images / seen)


@dataclass(frozen=True)
class ImageStatistic:
    """A number that depends on samples of some images."""

    images: tuple[str, ...]
    """Sorted and unique; the columns of the weights."""
    statistic: Statistic
    """The number for every row of weights; NaN where it is not defined."""
    extremes: Extremes | None = None
    """None where nothing is said of images that were not seen."""
    seen: float | None = None
    """Which share of a finite set of images these are; None where they stand for infinitely many.
    """

    @property
    def of(self) -> int | None:
        """Of how many images these were drawn."""
        return size_of_set(len(self.images), self.seen)

    @property
    def value(self) -> float:
        """The number on the samples as they are."""
        return float(self.statistic(np.ones((1, len(self.images))))[0])

    def replicates(self) -> Float[ndarray, "draw"]:
        """The number on every bootstrap draw of images."""
        return self.on(bootstrap_weights(len(self.images), self.of))

    def jackknife(self) -> Float[ndarray, "group"]:
        """The number without each image, or group of images, in turn."""
        return self.on(jackknife_weights(len(self.images)))

    def unseen(self, *, is_alike: bool = False) -> tuple[Numbers, Numbers] | None:
        """The lowest and highest number with one unseen image more, on every draw of weights.

        With `is_alike` the image does to all parts of the number what it does to one: it is as
        extreme as can be, and shows no difference.
        """
        if self.extremes is None:
            return None
        return self.extremes(unseen_weights(len(self.images), self.of), is_alike)

    def on(self, weights: Weights) -> Float[ndarray, "draw"]:
        """The number for every row of weights, worked out once for those that all share."""
        return _once(self._known, weights, self.statistic)

    @cached_property
    def _known(self) -> Known:
        return []


def joined(function: Callable[..., Numbers], parts: Sequence[ImageStatistic]) -> ImageStatistic:
    """A function of several statistics, paired: every draw of images reaches all of them."""
    images = tuple(sorted(set().union(*(part.images for part in parts))))
    place = {image: i for i, image in enumerate(images)}
    columns = [
        None if part.images == images else np.array([place[image] for image in part.images], int)
        for part in parts
    ]

    def statistic(weights: Weights) -> Numbers:
        values = [
            part.on(_of_part(weights, column)) for part, column in zip(parts, columns, strict=True)
        ]
        return function(*values)

    def extremes(weights: Weights, is_alike: bool) -> tuple[Numbers, Numbers]:
        ends = [
            part.extremes(_of_part(weights, column, len(images)), is_alike)
            for part, column in zip(parts, columns, strict=True)
            if part.extremes is not None
        ]
        if is_alike or len(ends) > MOST_CORNERS:
            corners = [function(*side) for side in zip(*ends, strict=True)]
        else:
            corners = [function(*corner) for corner in product(*ends)]
        return np.fmin.reduce(corners), np.fmax.reduce(corners)

    says_of_unseen = all(part.extremes is not None for part in parts)
    shares = [part.seen for part in parts if part.seen is not None]
    seen = min(shares) if len(shares) == len(parts) else None
    return ImageStatistic(images, statistic, extremes if says_of_unseen else None, seen)


def _of_part(
    weights: Weights, columns: Int[ndarray, "chosen"] | None, *others: int
) -> Real[ndarray, "draw _"]:
    """The weights of some images, or of all; they cannot be written either."""
    if columns is None:
        return weights
    chosen = weights[:, [*columns, *others]]
    chosen.setflags(write=False)
    return chosen


class ImageMeans:
    """Mean curves of samples that are clustered by image, as functions of image weights.

    The mean is the ratio of weighted sums to weighted counts, so that every sample counts the same
    (the paper's mean over samples) however many samples its image has.
    """

    def __init__(self, values: Float[ndarray, "sample layer"], image_ids: Sequence[str]) -> None:
        self.images = tuple(sorted(set(image_ids)))
        place = {image: i for i, image in enumerate(self.images)}
        owner = np.array([place[image] for image in image_ids], dtype=int)
        cells = owner[:, None] * values.shape[1] + np.arange(values.shape[1])
        sums = np.bincount(cells.ravel(), values.ravel(), len(self.images) * values.shape[1])
        sums = sums.reshape(len(self.images), values.shape[1])
        counts = np.bincount(owner, minlength=len(self.images)).astype(float)
        self.samples = len(values)
        self.mean: Float[ndarray, "layer"] = sums.sum(axis=0) / len(values)
        """The mean curve."""
        table, is_first = np.column_stack([sums, counts]), first_half(self.images)
        # Where the images of each half are, with their sums and counts.
        self._halves = [(np.flatnonzero(half), table[half]) for half in (is_first, ~is_first)]
        self._known: Known = []

    def curves(self, weights: Weights) -> Float[ndarray, "draw layer"]:
        """The mean curve for every row of weights; NaN where no sample is drawn."""
        first, second = self.totals(weights)
        return _ratio(first + second)

    def halves(
        self, weights: Weights
    ) -> tuple[Float[ndarray, "draw layer"], Float[ndarray, "draw layer"]]:
        """Mean curves of two fixed halves of the images, for cross-fitting.

        Where a draw leaves a half without samples, the mean of the whole stands in for it.
        """
        return _halves_of(self.totals(weights))

    def with_unseen(self, curve: Float[ndarray, "layer"]) -> WithUnseen:
        """The same with one image more, of as many samples as an average one, that has `curve`."""
        return WithUnseen(self, curve)

    def totals(self, weights: Weights) -> list[Float[ndarray, "draw column"]]:
        """Sums over the samples of each half, and in the last column their numbers."""
        return list(_once(self._known, weights, self._totals))

    def _totals(self, weights: Weights) -> Float[ndarray, "half draw column"]:
        columns = [(weights.take(place, axis=1), table) for place, table in self._halves]
        return np.stack([drawn.astype(float, copy=False) @ table for drawn, table in columns])


class WithUnseen:
    """Mean curves of samples and of one image that was not seen, half of it in either half."""

    def __init__(self, means: ImageMeans, curve: Float[ndarray, "layer"]) -> None:
        self._means = means
        # As many samples as an average image.
        self._one = np.append(curve, 1.0) * means.samples / len(means.images)

    def curves(self, weights: Weights) -> Float[ndarray, "draw layer"]:
        first, second = self._totals(weights)
        return _ratio(first + second)

    def halves(
        self, weights: Weights
    ) -> tuple[Float[ndarray, "draw layer"], Float[ndarray, "draw layer"]]:
        return _halves_of(self._totals(weights))

    def _totals(self, weights: Weights) -> list[Float[ndarray, "draw column"]]:
        half = weights[:, -1:] * self._one / 2
        return [seen + half for seen in self._means.totals(weights)]


Means = ImageMeans | WithUnseen
"""What has `curves` and `halves` for weights of images."""
Reading = Callable[[Means, Weights], Numbers]
"""What is read off mean curves, for every row of weights."""


def _once(known: Known, weights: Weights, work_out: Callable[[Weights], ndarray]) -> ndarray:
    """What is worked out for `weights`; kept for those that all share, which cannot be written."""
    for others, result in known:
        if others() is weights:
            return result
    result = work_out(weights)
    if not weights.flags.writeable:
        alive = [one for one in known if one[0]() is not None]
        known[:] = [*alive[1 - KEPT :], (ref(weights), result)]
    return result


def image_means(values: Float[ndarray, "sample layer"], image_ids: Sequence[str]) -> ImageMeans:
    """The means of these samples: one object, and so one resampling, for all equal ones.

    Mechanisms look at few curves, but each of them anew.
    """
    return _image_means(values.tobytes(), values.shape, values.dtype.str, tuple(image_ids))


@lru_cache(maxsize=SHARED)
def _image_means(
    content: bytes, shape: tuple[int, ...], dtype: str, image_ids: tuple[str, ...]
) -> ImageMeans:
    return ImageMeans(np.frombuffer(content, dtype).reshape(shape), image_ids)


def between(low: Statistic, high: Statistic) -> Extremes:
    """The extremes of one number: by the image that makes it lowest, and by that of the highest."""
    return lambda weights, _: (low(weights), high(weights))


def _ratio(totals: Float[ndarray, "draw column"]) -> Float[ndarray, "draw layer"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals[:, :-1] / totals[:, -1:])


def _halves_of(
    halves: list[Float[ndarray, "draw column"]],
) -> tuple[Float[ndarray, "draw layer"], Float[ndarray, "draw layer"]]:
    whole = _ratio(halves[0] + halves[1])
    one, other = (np.where(half[:, -1:] > 0, _ratio(half), whole) for half in halves)
    return one, other


def first_half(images: Sequence[str]) -> Bool[ndarray, "image"]:
    """Which of some images are in the first half.

    By a hash, so that the order of samples is irrelevant.
    """
    order = sorted(range(len(images)), key=lambda i: (crc32(images[i].encode()), images[i]))
    is_first = np.zeros(len(images), dtype=bool)
    is_first[order[::2]] = True
    return is_first

"""The figures of a report as plain data: panels of curves over layers, with their bands.

What is drawn is decided here; `svg` draws it, and the page's script draws the same data with plotly
where that is inlined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.mechanisms.declared import in_order
from mmflow_bench.runs.curves import SampledCurves
from mmflow_bench.runs.rows import Item, grouped
from mmflow_bench.statistics.resampling import ImageMeans, bootstrap_weights
from mmflow_bench.statistics.simultaneous import deviations, sup_t_band

FEWEST_IMAGES = 2
"""Fewer images than this have no spread to make a band of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve over layers."""

    name: str
    values: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    """The simultaneous band; empty where there is none."""
    style: int = 0
    """Which colour, symbol and dash; series of one style belong together across panels."""
    samples: int = 0
    is_baseline: bool = False
    """Drawn thin and grey, behind the checkpoint's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Curves that share their axes, mostly of one task."""

    title: str
    series: tuple[Series, ...]
    note: str = ""
    """What must be read beside the curves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Panels with one legend."""

    id: str
    title: str
    caption: str
    y_label: str
    panels: tuple[Panel, ...]
    x_label: str = "layer in the middle of the window"
    first: int = 0
    """The layer of the first value; -1 where it is the embedding."""
    is_folded: bool = False
    """Whether a reader opens it; the paper's own figures are open."""

    @property
    def legend(self) -> tuple[Series, ...]:
        named = {series.name: series for panel in self.panels for series in panel.series}
        return tuple(sorted(named.values(), key=lambda one: (one.is_baseline, one.style)))


def drawn(
    name: str,
    values: Float[ndarray, "sample layer"],
    image_ids: Sequence[str],
    *,
    style: int,
    alpha: float,
) -> Series:
    """The mean of samples with its simultaneous 1 - alpha band, images being the unit.

    Samples with a value that is not a number are left out.
    """
    finite = np.isfinite(values).all(axis=1)
    kept = values[finite]
    if not len(kept):
        return Series(name=name, values=(), style=style)
    images = [image for image, ok in zip(image_ids, finite, strict=True) if ok]
    low, high = _band(ImageMeans(kept, images), alpha)
    return Series(
        name=name,
        values=_plain(kept.mean(axis=0)),
        low=low,
        high=high,
        style=style,
        samples=len(kept),
    )


def mean_curves(
    curves: Iterable[SampledCurves], by: str, names: Mapping[Any, str], alpha: float
) -> tuple[Series, ...]:
    """The mean of each curve of one task; one has one style wherever it is drawn.

    Args:
        curves: No two alike in `by`.
        by: What tells them apart, e.g. `edge`.
        names: What of it is drawn, and what it is called.
        alpha: Error rate of the bands.
    """
    known = {getattr(one, by): one for one in curves}
    return tuple(
        drawn(name, known[label].values, known[label].image_ids, style=style, alpha=alpha)
        for style, (label, name) in enumerate(names.items())
        if label in known
    )


def overlaid(series: Series, name: str) -> Series:
    """A baseline's curve: without its band, and recognisable as the same thing."""
    return replace(series, name=name, low=(), high=(), is_baseline=True)


def by_task(items: Iterable[Item], task: Callable[[Item], str]) -> dict[str, list[Item]]:
    """Rows by task: the paper's six in its order, then others by name."""
    found = grouped(items, task)
    return {name: found[name] for name in in_order(found)}


def _band(means: ImageMeans, alpha: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count = len(means.images)
    if count < FEWEST_IMAGES:
        return (), ()
    spread = deviations(means.mean, means.curves(bootstrap_weights(count)), images=count)
    low, high = sup_t_band(means.mean, spread, level=1 - alpha, floor=0.0)
    return _plain(low), _plain(high)


def _plain(values: Float[ndarray, "layer"]) -> tuple[float, ...]:
    # Six digits are more than a screen shows, and keep the page small.
    return tuple(round(float(value), 6) for value in values)

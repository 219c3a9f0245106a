"""Curves that can be looked at: the very ones that suites compare, with pictures and tables."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from numpy import ndarray
from rich.console import Group, RenderableType
from rich.text import Text

from mmflow_bench.interactive.presenting import axes_or_new, frame_of, page_part
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.numbers import bounds, formatted, sparkline
from mmflow_bench.mechanisms.verdicts import NotApplicable, Undecided
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.html.figures import Figure, Panel, Series, drawn
from mmflow_bench.reports.html.svg import panel_svg

_SPARKS = 60


class Shown:
    """What every curve over layers shows of itself; its class says what is on the axes."""

    name: str
    values: Float[ndarray, "sample layer"]
    image_ids: tuple[str, ...]
    alpha: float
    _Y, _X, _FIRST = "change in probability", "layer in the middle of the window", 0

    def to_frame(self, *, samples: bool = False) -> Any:
        """A pandas DataFrame, a row for each layer; with `samples`, for each sample and layer.

        `low` and `high` are the band that the whole curve lies in; NaN where one image has none.

        Raises:
            ImportError: pandas is not installed.
        """
        if samples:
            rows: list[dict[str, object]] = [
                {"sample": i, "image_id": image, "layer": layer, "value": float(value)}
                for i, (image, curve) in enumerate(zip(self.image_ids, self.values, strict=True))
                for layer, value in enumerate(curve, start=self._FIRST)
            ]
            return frame_of(rows, ("sample", "image_id", "layer", "value"))
        series = self._series()
        missing = (float("nan"),) * len(series.values)
        bands = zip(series.values, series.low or missing, series.high or missing, strict=True)
        rows = [
            {"layer": layer, "mean": mean, "low": low, "high": high}
            for layer, (mean, low, high) in enumerate(bands, start=self._FIRST)
        ]
        return frame_of(rows, ("layer", "mean", "low", "high"))

    def plot(self, ax: Any | None = None, *, label: str | None = None) -> Any:
        """The curve and its band on Axes of matplotlib's, which are returned.

        Args:
            ax: Where to draw; a figure of its own when None.
            label: In the legend; the name of the curve when None.

        Raises:
            ImportError: matplotlib is not installed.
            MechanismError: `ax` are no Axes.
        """
        axes, series = axes_or_new(ax), self._series()
        layers = np.arange(self._FIRST, self._FIRST + len(series.values))
        (line,) = axes.plot(layers, series.values, label=label or self.name)
        if series.low:
            colour = line.get_color()
            axes.fill_between(layers, series.low, series.high, color=colour, alpha=0.2, lw=0)
        axes.axhline(0.0, color="0.5", lw=0.8)
        axes.set(xlabel=self._X, ylabel=self._Y)
        axes.legend()
        return axes

    def __repr__(self) -> str:
        """The curve in a line; its numbers are in `to_frame`."""
        return f"<{self.name}: {'; '.join(self._read())}; {self._count()}>"

    def __rich__(self) -> RenderableType:
        """The curve as one line of signs, with what stands behind it."""
        lines = [Text(plain(self.name), style="bold").append(f"  {self._count()}", "not bold dim")]
        lines.append(Text(sparkline(self._series().values, _SPARKS), style="cyan"))
        return Group(*lines, Text("; ".join(self._read()), style="dim"))

    def _repr_html_(self) -> str:
        series = self._series()
        panel = Panel(title=self.name, series=(series,))
        figure = Figure(
            id="curve",
            title=self.name,
            caption="",
            y_label=self._Y,
            x_label=self._X,
            first=self._FIRST,
            panels=(panel,),
        )
        return page_part(
            Markup("<b>{}</b> ({})").format(self.name, self._count()),
            panel_svg(panel, figure),
            Markup("<small>{}: {}</small>").format(self._Y, "; ".join(self._read())),
        )

    def _read(self) -> tuple[str, ...]:
        """What is read of it, in words."""
        return ()

    def _series(self) -> Series:
        return drawn(self.name, self.values, self.image_ids, style=0, alpha=self.alpha)

    def _count(self) -> str:
        return f"{len(self.image_ids)} samples of {len(set(self.image_ids))} images"


class FlowCurve(Shown, Curve):
    """The relative change by the centre of the knocked-out window."""

    def _read(self) -> tuple[str, ...]:
        return _said("peak", self.peak), _said("at depth", self.peak_depth)


class ShownLens(Shown, LensCurve):
    """The probability of a probe by depth."""

    _Y, _X, _FIRST = "probability", "layer (-1: embedding)", -1

    def _read(self) -> tuple[str, ...]:
        return _said("highest", self.max), _said("at the last layer", self.final)


class RunFlow(Flow):
    """The flow of suites, whose curves can be looked at."""

    def __call__(
        self, edge: str, task: str, *, width: int | None = None, method: str | None = None
    ) -> FlowCurve:
        """As the flow's own."""
        found = super().__call__(edge, task, width=width, method=method)
        assert isinstance(found, FlowCurve)
        return found

    def _nothing(self, task: str, name: str, lacked: str) -> Undecided:
        """As the flow's own, which is guarded: here nothing may be answered correctly at all."""
        count = self._measurements.accuracy(task)
        if count.scored and not count.correct:
            return NotApplicable(
                f"none of {count.scored} answers on {task} is correct, so there is none to follow; "
                "open it with follow='reference', or with keep_incorrect=True"
            )
        return super()._nothing(task, name, lacked)

    def curve(
        self,
        name: str,
        values: Float[ndarray, "sample layer"],
        image_ids: tuple[str, ...],
        sweep: Sweep,
    ) -> FlowCurve:
        """As the flow's own."""
        return FlowCurve(**_fields(super().curve(name, values, image_ids, sweep)))

    def lens(self, probe: str, task: str, *, variant: str | None = None) -> ShownLens:
        """As the flow's own."""
        return ShownLens(**_fields(super().lens(probe, task, variant=variant)))


def _said(name: str, estimate: Estimate) -> str:
    """An estimate in words, with its interval where it has one."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if not math.isfinite(value):
        return f"{name}: none"
    has_interval = math.isfinite(low) and math.isfinite(high)
    interval = f" {bounds(low, high, estimate.unit)}" if has_interval else ""
    return f"{name} {formatted(value, estimate.unit)}{interval}"


def _fields(record: Curve | LensCurve) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(record)}

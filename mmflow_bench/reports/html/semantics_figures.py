"""What the question says with something taken away (paper, App. D and K, Figs. 12, 13 and 37)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from mmflow_bench.reports.html.figures import Figure, Panel, Series, by_task, mean_curves
from mmflow_bench.runs.reading import RunRecord

Y_LABEL = "share of the likeliest tokens lost (1 - J)"
ON_AVERAGE = "mean over tasks"


class _Drawn(NamedTuple):
    title: str
    caption: str
    x_label: str
    names: Mapping[str, str]
    """What is taken away, and its name in the legend."""


_MODULES = _Drawn(
    "What the question says without a module (Figs. 12, 13)",
    "Of the ten likeliest tokens of all positions of the question together, the share that changes "
    "when the MLP or attention says nothing there in the layers from one layer on; windows are "
    "shorter at the end.",
    "first layer of the window",
    {"mlp": "without MLP", "attention": "without attention"},
)
_IMAGE = _Drawn(
    "What the question says without the image (Fig. 37)",
    "The same when the edge that carries the image into the question is cut around a layer.",
    "layer in the middle of the window",
    {"image->question": "image → question"},
)


def semantics_figures(record: RunRecord) -> Iterator[Figure]:
    """A figure for the modules and one for the image, where they were measured."""
    for name, figure in (("semantics-modules", _MODULES), ("semantics-image", _IMAGE)):
        lost = [
            replace(one, values=1 - one.values)
            for one in record.semantics
            if one.without in figure.names
        ]
        windows = sorted({one.window for one in lost})
        panels = [
            Panel(title=task, series=mean_curves(of_task, "without", figure.names, record.alpha))
            for task, of_task in by_task(lost, lambda one: one.task).items()
        ]
        if len(panels) > 1:
            panels.append(_average(panels))
        yield Figure(
            id=name,
            title=figure.title,
            caption=f"{figure.caption} Windows of {', '.join(map(str, windows))} layers.",
            y_label=Y_LABEL,
            x_label=figure.x_label,
            panels=tuple(panels),
        )


def _average(panels: Sequence[Panel]) -> Panel:
    """The mean over tasks, as the paper's numbers are; no band is drawn about it."""
    found: dict[tuple[int, str], list[Series]] = {}
    for panel in panels:
        for one in panel.series:
            found.setdefault((one.style, one.name), []).append(one)
    series = tuple(
        Series(
            name=name,
            values=tuple(np.mean([one.values for one in of_name], axis=0).round(6).tolist()),
            style=style,
            samples=sum(one.samples for one in of_name),
        )
        for (style, name), of_name in sorted(found.items())
    )
    return Panel(title=ON_AVERAGE, series=series)

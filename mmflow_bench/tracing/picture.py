"""A trace as one SVG image, complete in itself: the photo on the left, the curves on the right."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from mmflow_bench.reports.escaping import xml_text
from mmflow_bench.reports.html.figures import Figure
from mmflow_bench.reports.html.page import asset
from mmflow_bench.reports.html.svg import panel_svg, swatch
from mmflow_bench.tracing.drawing import data_uri, figures, overlay
from mmflow_bench.tracing.record import CAUTION, Trace
from mmflow_bench.tracing.words import answered, lacks, of_blocks

WIDTH, MARGIN = 960, 20
COLUMN = (WIDTH - 3 * MARGIN) // 2
LINE = 20
PANEL = COLUMN * 190 // 320
"""Height of a panel, which is 320 by 190 wherever it is drawn."""
LETTERS = 62
"""Of a line in one of the two columns."""


def trace_svg(trace: Trace) -> str:
    """The picture of a trace; it asks for nothing and runs nothing."""
    left, right = list(_left(trace)), list(_right(trace))
    height = max(_bottom(left), _bottom(right)) + MARGIN
    parts = Markup("").join(part for _, part in [*left, *right])
    said = f"{trace.question} {answered(trace)} {of_blocks(trace)} {CAUTION}"
    style = "".join(map(asset, ("colours.css", "curves.css", "trace.css")))
    return str(
        Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="trace" viewBox="0 0 {} {:.0f}" '
            'role="img" aria-labelledby="title desc"><title id="title">{}</title>'
            '<desc id="desc">{}</desc><style>{}</style>'
            '<rect class="paper" width="100%" height="100%"/>{}</svg>\n'
        ).format(
            WIDTH,
            height,
            f"One question traced through {xml_text(trace.checkpoint)}",
            xml_text(said, 4000),
            Markup(style),
            parts,
        )
    )


def lines_of(trace: Trace) -> Iterator[tuple[str, str]]:
    """What stands in the picture beside the photo: the kind of each line, and the line."""
    said = (
        ("soft", f"{trace.checkpoint}, {trace.layers} layers"),
        ("said", trace.question),
        ("strong", answered(trace)),
        ("said", of_blocks(trace)),
        *(("soft", line) for line in lacks(trace)),
        ("caution", CAUTION),
    )
    for kind, text in said:
        for line in textwrap.wrap(xml_text(text, 2000), LETTERS):
            yield kind, line


def photo_size(trace: Trace) -> tuple[float, float]:
    """Width and height of the photo in the picture; zeros where there is none."""
    if trace.photo is None:
        return 0.0, 0.0
    width, height = trace.photo.size
    scale = COLUMN / max(width, height)
    return width * scale, height * scale


def _bottom(parts: Sequence[tuple[float, Markup]]) -> float:
    return max((bottom for bottom, _ in parts), default=0.0)


def _left(trace: Trace) -> Iterator[tuple[float, Markup]]:
    """Every part with where it ends: the photo with its blocks, and what is said."""
    y = float(MARGIN)
    width, height = photo_size(trace)
    if trace.photo is not None:
        yield (
            y + height,
            Markup(
                '<image x="{}" y="{}" width="{:.1f}" height="{:.1f}" href="{}"/>'
                '<svg x="{}" y="{}" width="{:.1f}" height="{:.1f}" viewBox="0 0 100 100" '
                'preserveAspectRatio="none">{}</svg>'
            ).format(
                *(MARGIN, MARGIN, width, height, data_uri(trace.photo)),
                *(MARGIN, MARGIN, width, height, overlay(trace)),
            ),
        )
        y += height + LINE / 2
    text = Markup('<text class="{}" x="{}" y="{:.1f}">{}</text>')
    for kind, line in lines_of(trace):
        y += LINE
        yield y, text.format(kind, MARGIN, y, line)


def _right(trace: Trace) -> Iterator[tuple[float, Markup]]:
    y = float(MARGIN)
    for figure in figures(trace):
        for bottom, part in _figure(figure, y):
            yield bottom, part
            y = bottom
        y += LINE


def _figure(figure: Figure, top: float) -> Iterator[tuple[float, Markup]]:
    left = 2 * MARGIN + COLUMN
    title = Markup('<text class="strong" x="{}" y="{:.1f}">{}</text>')
    yield top + LINE, title.format(left, top + LINE - 6, figure.title)
    panel = panel_svg(figure.panels[0], figure)
    place = Markup('<svg x="{}" y="{:.1f}" width="{}" height="{}">{}</svg>')
    y = top + LINE
    yield y + PANEL, place.format(left, y, COLUMN, PANEL, panel)
    y += PANEL
    name = Markup('<text class="soft" x="{}" y="{:.1f}">{}</text>')
    for series in figure.legend:
        y += LINE
        sample = place.format(left, y - 10, 34, 12, swatch(series))
        yield y, sample + name.format(left + 42, y, xml_text(series.name, 60))

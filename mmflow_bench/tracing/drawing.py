"""A trace as SVG: the photo with what its parts take with them, and the curves beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

from markupsafe import Markup
from PIL import Image

from mmflow_bench.mechanisms.bands import NEGLIGIBLE
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.reports.escaping import xml_text
from mmflow_bench.reports.html.figures import Figure, Panel, Series
from mmflow_bench.reports.html.paper_figures import CHANGE, PROBABILITY, shown_edge
from mmflow_bench.tracing.record import Block, Trace
from mmflow_bench.tracing.words import most_lost

MOST = 0.6
"""Of a block that takes most with it, how much of the photo is covered."""
_SIDE = 640
"""Pixels of the longer side of a photo."""
_QUALITY = 85


def figures(trace: Trace) -> tuple[Figure, ...]:
    """The curves of the sample: its edges, and the logit lens; none that there is nothing of."""
    edges = [
        Series(name=shown_edge(one.edge), values=one.relative_change, style=i, samples=1)
        for i, one in enumerate(trace.edges)
    ]
    words = [
        Series(name=xml_text(one.word, 60), values=one.probability, style=i, samples=1)
        for i, one in enumerate(trace.lens)
    ]
    found = (
        Figure(
            id="edges",
            title="Edges",
            caption="Relative change of the answer's probability when an edge is cut in a window "
            f"of {trace.window} layers.",
            y_label=CHANGE,
            panels=(Panel(title="this sample", series=tuple(edges)),),
        ),
        Figure(
            id="lens",
            title="Logit lens",
            caption="Probability that the lens gives to a word at the last position.",
            y_label=PROBABILITY,
            x_label="layer (-1 is the embedding)",
            first=-1,
            panels=(Panel(title="this sample", series=tuple(words)),),
        ),
    )
    return tuple(figure for figure in found if figure.panels[0].series)


def weight(block: Block, blocks: tuple[Block, ...]) -> float:
    """How strongly a block is coloured, from 0 to 1; against the one that takes most with it.

    What is negligible everywhere is not blown up to the full colour.
    """
    return max(0.0, -block.relative_change) / max(most_lost(blocks), NEGLIGIBLE)


def overlay(trace: Trace) -> Markup:
    """The blocks, in shares of the photo in percent."""
    return Markup("").join(_rectangles(trace))


def _rectangles(trace: Trace) -> Iterator[Markup]:
    if trace.photo is None:
        return
    width, height = trace.photo.size
    rectangle = Markup(
        '<rect class="loss" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.3f}">'
        "<title>{}</title></rect>"
    )
    for block in trace.blocks:
        shares = block.left / width, block.top / height, block.width / width, block.height / height
        lost = formatted(round(block.relative_change, 3) + 0.0, "fraction")
        yield rectangle.format(
            *(f"{100 * share:.2f}" for share in shares),
            MOST * weight(block, trace.blocks),
            f"{lost} without these {block.patches} patches",
        )


def small(photo: Image.Image) -> Image.Image:
    """A copy that a page or a picture has room for."""
    copy = photo.copy()
    copy.thumbnail((_SIDE, _SIDE))
    return copy


def data_uri(photo: Image.Image) -> str:
    """The photo inside of a page."""
    buffer = io.BytesIO()
    small(photo).save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"

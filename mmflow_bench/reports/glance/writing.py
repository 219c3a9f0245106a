"""The picture as a file of its own, with what stands under it; light or dark as its reader is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file
from mmflow_bench.reports.escaping import xml_text
from mmflow_bench.reports.glance.drawing import drawing
from mmflow_bench.reports.glance.flow import Glance
from mmflow_bench.reports.glance.geometry import NARROW, WIDE, Sheet
from mmflow_bench.reports.glance.words import PLACES, conditions, sentence
from mmflow_bench.reports.html.page import asset

PICTURE = "glance.svg"
"""Beside a summary in Markdown."""
_LINE = 19
"""From line to line of what stands under a drawing."""
_LETTER = 6.9
"""The width of a letter of it, on the average, in units of the sheet."""
_PADDING = 12


def write_glance(path: Path, glances: Sequence[Glance]) -> Path:
    """Write the picture of a run, or of two side by side: before and after.

    Raises:
        StoreError: It cannot be written.
    """
    with refusing(StoreError, "a file that can be written", path, "choose another place"):
        replace_file(path, glance_file(glances))
    return path


def glance_file(glances: Sequence[Glance]) -> str:
    """An SVG image of one run or of two, complete in itself."""
    sheet = WIDE if len(glances) == 1 else NARROW
    tops = [sheet.height(len(one.cases)) for one in glances]
    places = [f"{place}: " for place in PLACES] if len(glances) > 1 else [""]
    texts = [list(_lines(f"{places[i]}{one.name}", one, sheet)) for i, one in enumerate(glances)]
    top = max(tops) + _PADDING
    width = len(glances) * (sheet.width + _PADDING) + _PADDING
    height = top + _LINE * max(map(len, texts)) + 2 * _PADDING
    columns = [
        Markup('<g transform="translate({},{})">{}{}</g>').format(
            _PADDING + i * (sheet.width + _PADDING),
            _PADDING,
            drawing(one, sheet),
            _written(text, top),
        )
        for i, (one, text) in enumerate(zip(glances, texts, strict=True))
    ]
    image = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="glance {}" viewBox="0 0 {:.0f} {:.0f}" '
        'role="img" aria-labelledby="title desc"><title id="title">{}</title>'
        '<desc id="desc">{}</desc><style>{}</style>'
        '<rect class="paper" width="100%" height="100%"/>{}</svg>\n'
    ).format(
        "narrow" if sheet is NARROW else "wide",
        width,
        height,
        f"Information flow in {' and in '.join(xml_text(one.name) for one in glances)}",
        " ".join(f"{xml_text(one.name)}: {xml_text(sentence(one), 2000)}" for one in glances),
        Markup(asset("colours.css") + asset("glance.css")),
        Markup("").join(columns),
    )
    return str(image)


def _lines(title: str, glance: Glance, sheet: Sheet) -> Iterator[tuple[str, str]]:
    """The class and the text of every line under a drawing."""
    letters = int(sheet.width / _LETTER)
    said = (("effect", title), ("label", glance.description), ("said", sentence(glance)))
    for kind, text in (*said, ("label", conditions(glance))):
        for line in textwrap.wrap(xml_text(text, 2000), letters):
            yield kind, line


def _written(lines: Sequence[tuple[str, str]], top: float) -> Markup:
    text = Markup('<text class="{}" x="0" y="{:.0f}">{}</text>')
    return Markup("").join(
        text.format(kind, top + _LINE * (i + 1), line) for i, (kind, line) in enumerate(lines)
    )

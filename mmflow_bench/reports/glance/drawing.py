"""The picture as inline SVG: no script, no font, no request, and the same bytes for the same run.

Colours come from classes that the style sheet fills in for light and dark. What is undecided is
dashed as well as faint, and every ribbon has its number, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.reports.escaping import xml_text
from mmflow_bench.reports.glance.flow import Glance
from mmflow_bench.reports.glance.geometry import (
    NARROW,
    Point,
    Ribbon,
    Sheet,
    labels,
    outline,
    ribbons,
)
from mmflow_bench.reports.glance.paths import Lane
from mmflow_bench.reports.glance.words import sentence
from mmflow_bench.reports.html.svg import marked

_STYLES = {
    "image->question": "s0",
    "caption->question": "s0",
    "other_patches->question": "s5",
    "related_patches->question": "s0",
    "question->last": "s2",
    "image->last": "s1",
    "caption->last": "s1",
}
"""Edge -> its colour in the style sheet."""
_TEXT = Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>')


def glance_svg(glance: Glance, sheet: Sheet, *, id: str) -> Markup:
    """The drawing of a run.

    Args:
        glance: The run.
        sheet: How large: `geometry.WIDE` or `geometry.NARROW`.
        id: Unique on the page; what the drawing says to those who do not see it hangs on it.
    """
    kind = "narrow" if sheet is NARROW else "wide"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="glance {}" viewBox="0 0 {:.0f} {:.0f}" '
        'role="img" aria-labelledby="{}-title {}-desc"><title id="{}-title">{}</title>'
        '<desc id="{}-desc">{}</desc>{}</svg>'
    ).format(
        kind,
        sheet.width,
        sheet.height(len(glance.cases)),
        *(id, id, id),
        f"Information flow in {xml_text(glance.name)}",
        id,
        xml_text(sentence(glance), 2000),
        drawing(glance, sheet),
    )


def drawing(glance: Glance, sheet: Sheet) -> Markup:
    """What is inside of the drawing, at its place on the sheet."""
    drawn = ribbons(glance, sheet)
    parts = [
        *_lanes(glance, sheet),
        *map(_ribbon, drawn),
        *_labels(drawn, sheet),
        *_answer(glance, sheet),
        *_axis(glance, sheet),
    ]
    if not glance.paths:
        middle = (sheet.left + sheet.right) / 2
        y = sheet.lane(Lane.QUESTION) - sheet.between / 2
        parts.append(_text("label", middle, y, "nothing was measured between them", "middle"))
    return Markup("").join(parts)


def _lanes(glance: Glance, sheet: Sheet) -> Iterable[Markup]:
    bar = Markup('<line class="lane" x1="{}" x2="{}" y1="{}" y2="{}"/>')
    names = {Lane.IMAGE: glance.top, Lane.QUESTION: Lane.QUESTION, Lane.LAST: Lane.LAST}
    for lane, name in names.items():
        y = sheet.lane(lane)
        yield bar.format(_number(sheet.left), _number(sheet.right), _number(y), _number(y))
        words = name.split() if sheet is NARROW else [name]
        for i, word in enumerate(words):
            line = y + 4 + 13 * (i - (len(words) - 1) / 2)
            yield _text("name", sheet.left - 10, line, word, "end")


def _ribbon(ribbon: Ribbon) -> Markup:
    (x, y), (to_x, to_y) = ribbon.start, ribbon.end
    middle = _number((x + to_x) / 2)
    line = (
        f"M{_number(x)} {_number(y)}C{middle} {_number(y)} {middle} {_number(to_y)} "
        f"{_number(to_x)} {_number(to_y)}"
    )
    # A tip, so that it is seen which way it goes.
    half = ribbon.thickness / 2 + 3
    tip = (
        f"M{_number(to_x)} {_number(to_y - half)}L{_number(to_x + min(half, 12))} {_number(to_y)}"
        f"L{_number(to_x)} {_number(to_y + half)}z"
    )
    state = "" if ribbon.is_solid else " undecided"
    return Markup(
        '<g class="ribbon {}{}" data-edge="{}"><path class="stream" d="{}" stroke-width="{}"/>'
        '<path class="tip" d="{}"/></g>'
    ).format(
        _STYLES[ribbon.path.edge.name],
        state,
        ribbon.path.edge.name,
        line,
        _number(ribbon.thickness),
        tip,
    )


def _labels(drawn: Sequence[Ribbon], sheet: Sheet) -> Iterable[Markup]:
    said = [(one, _said(one)) for one in drawn]
    for place, text in labels(said, sheet, size=_size(sheet)):
        yield _text("effect", *place, text, "middle")


def _said(ribbon: Ribbon) -> str:
    effect = formatted(round(ribbon.stretch.effect, 2), "fraction")
    edge = ribbon.path.edge
    part = f"{edge.said.split()[0]} " if edge.whole else "direct " if edge.is_direct else ""
    return f"{part}{effect}" if ribbon.is_solid else f"{part}{effect}?"


def _answer(glance: Glance, sheet: Sheet) -> Iterable[Markup]:
    for strip, case in enumerate(glance.cases):
        floor = sheet.floor(strip)
        path = _points(outline(case, strip, glance.layers, sheet))
        yield Markup('<polygon class="lens {}" points="{}"/>').format(f"s{3 + 3 * strip}", path)
        yield _text(
            "name",
            sheet.left - 10,
            floor - 2,
            f"\N{LEFT DOUBLE QUOTATION MARK}{case.sign}\N{RIGHT DOUBLE QUOTATION MARK}",
            "end",
        )
        if case.appears is not None:
            x = sheet.x(case.appears, glance.layers)
            yield _text("tick", x - 4, floor - 7, f"from layer {case.appears}", "end")


def _axis(glance: Glance, sheet: Sheet) -> Iterable[Markup]:
    bottom = sheet.height(len(glance.cases))
    for layer in marked(glance.layers, 0):
        yield _text("tick", sheet.x(layer, glance.layers), bottom - 20, str(layer), "middle")
    if glance.layers:
        middle = (sheet.left + sheet.right) / 2
        yield _text("label", middle, bottom - 5, "layer of the decoder", "middle")


def _text(kind: str, x: float, y: float, text: str, anchor: str) -> Markup:
    return _TEXT.format(kind, _number(x), _number(y), anchor, text)


def _size(sheet: Sheet) -> float:
    """Of the type, as the style sheet has it."""
    return 12 if sheet is NARROW else 14


def _number(value: float) -> str:
    return f"{value:.1f}"


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)

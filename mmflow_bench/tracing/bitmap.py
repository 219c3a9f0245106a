"""The same picture in pixels, drawn by Pillow: for slides and messages that take no SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from mmflow_bench.reports.html.figures import Figure, Series
from mmflow_bench.tracing.drawing import MOST, figures, small, weight
from mmflow_bench.tracing.picture import (
    COLUMN,
    LINE,
    MARGIN,
    PANEL,
    WIDTH,
    lines_of,
    photo_size,
)
from mmflow_bench.tracing.record import Trace

_SCALE = 2
"""Pixels of a unit of the picture."""
_INK, _SOFT, _RULE, _LOSS, _CAUTION = "#1c2126", "#56616c", "#d5dbe1", (213, 94, 0), "#9c3d00"
_COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#aa3f80"),
    *("#7a6200", "#3f9bd0", "#6a4fb3", "#4a4a4a"),
)
_KINDS = {"soft": _SOFT, "said": _INK, "strong": _INK, "caution": _CAUTION}
_AXIS = 46
"""Left of a panel, for its numbers."""


def trace_image(trace: Trace) -> Image.Image:
    """The picture of a trace in pixels."""
    lines, drawn = list(lines_of(trace)), figures(trace)
    left = MARGIN + photo_size(trace)[1] + LINE * (len(lines) + 1)
    right = MARGIN + sum(2 * LINE + PANEL + LINE * len(figure.legend) for figure in drawn)
    height = round(max(left, right)) + MARGIN
    page = Image.new("RGB", (WIDTH * _SCALE, height * _SCALE), "white")
    canvas = ImageDraw.Draw(page)
    y = float(MARGIN)
    if trace.photo is not None:
        _paste(page, trace)
        y += photo_size(trace)[1] + LINE / 2
    for kind, line in lines:
        _write(canvas, MARGIN, y + 4, line, _KINDS[kind])
        y += LINE
    y = float(MARGIN)
    for figure in drawn:
        y = _figure(canvas, figure, y) + LINE
    return page


def _paste(page: Image.Image, trace: Trace) -> None:
    """The photo, covered where its parts take the answer with them."""
    assert trace.photo is not None
    width, height = (round(side * _SCALE) for side in photo_size(trace))
    photo = small(trace.photo).resize((max(1, width), max(1, height))).convert("RGBA")
    cover = Image.new("RGBA", photo.size, (0, 0, 0, 0))
    canvas = ImageDraw.Draw(cover)
    across, down = width / trace.photo.width, height / trace.photo.height
    for block in trace.blocks:
        corner = block.left * across, block.top * down
        end = corner[0] + block.width * across, corner[1] + block.height * down
        alpha = round(255 * MOST * weight(block, trace.blocks))
        canvas.rectangle((*corner, *end), fill=(*_LOSS, alpha), outline=(255, 255, 255, 110))
    page.paste(Image.alpha_composite(photo, cover).convert("RGB"), (MARGIN * _SCALE,) * 2)


def _figure(canvas: ImageDraw.ImageDraw, figure: Figure, top: float) -> float:
    """One panel with its legend; returns where it ends."""
    left = 2 * MARGIN + COLUMN
    _write(canvas, left, top, figure.title, _INK)
    series = figure.panels[0].series
    low, high = _range(series, is_probability=figure.first < 0)
    box = left + _AXIS, top + LINE + 8, left + COLUMN - 8, top + LINE + PANEL - 34
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = box[1] + share * (box[3] - box[1])
        value = high - share * (high - low)
        _line(canvas, [(box[0], y), (box[2], y)], _RULE, 1)
        _write(canvas, left, y - 8, f"{100 * value:.0f}%", _SOFT)
    count = max(len(one.values) for one in series)
    _write(canvas, box[0], box[3] + 8, f"{figure.x_label}: {figure.first}", _SOFT)
    _write(canvas, box[2] - 24, box[3] + 8, str(count - 1 + figure.first), _SOFT)
    for one in series:
        points = [
            (
                box[0] + (box[2] - box[0]) * i / max(1, count - 1),
                box[1] + (box[3] - box[1]) * (high - value) / (high - low),
            )
            for i, value in enumerate(one.values)
            if math.isfinite(value)
        ]
        _line(canvas, points, _COLOURS[one.style % len(_COLOURS)], 2)
    y = top + LINE + PANEL
    for one in figure.legend:
        colour = _COLOURS[one.style % len(_COLOURS)]
        _line(canvas, [(left, y + 9), (left + 34, y + 9)], colour, 3)
        _write(canvas, left + 42, y, one.name, _SOFT)
        y += LINE
    return y


def _range(series: Sequence[Series], *, is_probability: bool) -> tuple[float, float]:
    if is_probability:
        return 0.0, 1.0
    values = [value for one in series for value in one.values if math.isfinite(value)]
    # Zero is always in sight, and a flat curve is drawn as flat.
    return min([*values, -0.1]), max([*values, 0.05])


def _line(
    canvas: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: int
) -> None:
    if len(points) > 1:
        placed = [(x * _SCALE, y * _SCALE) for x, y in points]
        canvas.line(placed, fill=colour, width=width * _SCALE, joint="curve")


def _write(canvas: ImageDraw.ImageDraw, x: float, y: float, text: str, colour: str) -> None:
    # The font that comes with Pillow has no arrows.
    shown = text.replace("\N{RIGHTWARDS ARROW}", "->")
    canvas.text((x * _SCALE, y * _SCALE), shown, fill=colour, font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """One with the letters of many scripts where it is installed, or that of Pillow."""
    with suppress(OSError):
        return ImageFont.truetype("DejaVuSans.ttf", 12 * _SCALE)
    return ImageFont.load_default(13 * _SCALE)

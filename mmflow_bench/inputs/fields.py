"""What makes a row of a question file a usable sample, whichever format it came in."""

from __future__ import annotations

import math
import re
from dataclasses import fields, replace

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.phrases import phrase_spans
from mmflow_bench.inputs.samples import CHOOSE_TASKS, SIX_TASKS, Box, Sample

MOST_PIXELS = 2**31 - 1
"""Of a side of an image, as a question file states it."""
LONGEST_NAME = 1000
"""Signs of an id, a task, an option or the name of an object."""
_LONGEST = {"question": 100_000, "answer": 10_000, "answers": 10_000, "caption": 1_000_000}
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_NAMES = ("question_id", "image_id", "task")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""A name is one line of a log."""
BOX_OVERHANG = 1.0
"""Pixels that a box may stand over the edge: Visual Genome rounds 95 of the published boxes up."""


def checked_sample(sample: Sample) -> Sample:
    """The sample, with boxes cut to the image, if its task can be measured on it.

    A sample without an image whose captions stand in for it needs no boxes.

    Raises:
        QuestionError: A part is missing or contradicts another; the reason says which.
    """
    _require_writable(sample)
    for name in _NAMES:
        if not getattr(sample, name):
            raise _refused(sample, "missing-field", name, "an empty one")
    if not sample.question.strip():
        raise _refused(sample, "empty-question", "a question", "an empty one")
    if not sample.answer.strip():
        raise _refused(sample, "missing-answer", "a reference answer", "an empty one")
    if sample.task in CHOOSE_TASKS:
        _require_options(sample)
    is_text_only = sample.image is None and sample.caption is not None
    # Tasks of the user's own need no objects; their roles are unscored one by one.
    if sample.task in SIX_TASKS and not is_text_only:
        expected = f"the name and box of at least one object ({sample.task} asks about objects)"
        for part, found in (("name", sample.object_names), ("box", sample.boxes)):
            if not found:
                raise _refused(sample, "missing-object", expected, f"no {part}")
    return replace(sample, boxes=boxes_inside(sample, sample.image_width, sample.image_height))


def _require_writable(sample: Sample) -> None:
    """Refuse texts that no table or log can hold: by their signs, or by their length."""
    for name in (field.name for field in fields(sample)):
        given, most = getattr(sample, name), _LONGEST.get(name, LONGEST_NAME)
        for text in given if isinstance(given, tuple) else (given,):
            if not isinstance(text, str):
                continue
            if len(text) > most:
                expected = f"{name} of at most {most} signs"
                raise _refused(sample, "malformed-row", expected, str(len(text)))
            if (_NO_NAME if name in _NAMES else _NO_TEXT).search(text):
                got = "one with signs that are none of a text"
                raise _refused(sample, "malformed-row", f"{name} as a text", got)


def _require_options(sample: Sample) -> None:
    for name, option in (("true", sample.true_option), ("false", sample.false_option)):
        if not option:
            raise _refused(
                sample, "missing-option", f"a {name} option ({sample.task} asks to choose)", "none"
            )
        if not phrase_spans(sample.question, option):
            raise _refused(
                sample,
                "option-not-in-question",
                f"the {name} option {option!r} as a word of the question",
                repr(sample.question),
            )


def boxes_inside(sample: Sample, width: float | None, height: float | None) -> tuple[Box, ...]:
    """The sample's boxes, cut to an image of this size; only at the left and top without a size.

    Raises:
        QuestionError: A box has no area or stands out of the image (`box-outside-image`).
    """
    # Half a size is none: which of the two sides is missing is not known.
    size = None if width is None or height is None else (width, height)
    return tuple(_cut(sample, box, size) for box in sample.boxes)


def _cut(sample: Sample, box: Box, size: tuple[float, float] | None) -> Box:
    right, bottom = box.x + box.width, box.y + box.height
    width, height = size or (right, bottom)
    overhang = max(-box.x, -box.y, right - width, bottom - height)
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(right, width), min(bottom, height)
    # Written so that a box with a coordinate that is no number is refused too.
    is_inside = overhang <= BOX_OVERHANG and left < right < math.inf and top < bottom < math.inf
    if not is_inside:
        raise _refused(
            sample,
            "box-outside-image",
            f"a box with an area, within the image ({width:g} x {height:g})",
            f"x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g}",
        )
    return Box(x=left, y=top, width=right - left, height=bottom - top)


def _refused(sample: Sample, reason: str, expected: str, got: str) -> QuestionError:
    return QuestionError(
        f"{expected}, got {got} (sample {sample.question_id}, task {sample.task}); correct the "
        "row or leave it out",
        reason=reason,
    )

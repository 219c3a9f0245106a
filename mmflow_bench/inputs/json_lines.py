"""JSON lines with the fields of `Sample`: one object per line, boxes as [x, y, width, height]."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.fields import MOST_PIXELS
from mmflow_bench.inputs.samples import Box, Sample

_REQUIRED = ("question_id", "image_id", "task", "question", "answer")
_IDS = ("question_id", "image_id")
_TEXTS = (*_REQUIRED, "true_option", "false_option", "caption", "image")
_SIZES = ("image_width", "image_height")
_LISTS = ("answers", "object_names")
FIELDS = (*_TEXTS, *_SIZES, *_LISTS, "boxes")
"""Fields of a line, in the order in which they are written."""
_ONE_OBJECT = "one JSON object per line"
NOT_JSON = (json.JSONDecodeError, RecursionError)
"""What Python's reader raises; the second for a text of many brackets."""
_MOST_DIGITS = 18
_MOST_BOXES = 1000


def json_rows(path: Path) -> Iterator[tuple[int, object]]:
    """Line numbers and values of a file; a line that is no JSON becomes a QuestionError as value.

    Raises:
        QuestionError: The file is no UTF-8 text (`unreadable-file`).
    """
    # Only a line feed ends a line: a text may hold the other characters that end lines elsewhere.
    for number, line in enumerate(json_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield number, json_value(line)
            except NOT_JSON as error:
                yield number, _malformed(_ONE_OBJECT, str(error), f"{path}:{number}")


def json_text(path: Path) -> str:
    """The text of a file, or a QuestionError (`unreadable-file`)."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise QuestionError(
            f"JSON in UTF-8, got {error} ({path}); save it again", reason="unreadable-file"
        ) from error


def json_value(text: str) -> object:
    """The value of a JSON text; a whole number of many digits stays a text, as an id may be one.

    >>> json_value("[12, 1234567890123456789012]")
    [12, '1234567890123456789012']

    Raises:
        json.JSONDecodeError: It is none.
        RecursionError: Its brackets are nested too deep.
    """
    return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | str:
    # Python converts no text of thousands of digits, which would end the file and not the row.
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def parsed_file(path: Path) -> object:
    """The one JSON value of a file, or a QuestionError (`unreadable-file`)."""
    try:
        return json_value(json_text(path))
    except NOT_JSON as error:
        raise QuestionError(
            f"one JSON value, got {error} ({path}); fetch or write the file again",
            reason="unreadable-file",
        ) from error


def json_sample(value: object, where: str) -> Sample:
    """The sample of a line, without its image; `image` is a path and is resolved by the caller.

    Raises:
        QuestionError: The value has a wrong type (`malformed-row`), an unknown field
            (`unknown-field`) or lacks a required one (`missing-field`).
    """
    if isinstance(value, QuestionError):
        raise value
    if not isinstance(value, dict):
        raise _malformed(_ONE_OBJECT, type(value).__name__, where)
    _check_names(value, where)
    texts = {name: _text(value, name, where) for name in _TEXTS}
    fields: Json = {name: text for name, text in texts.items() if text or name in _REQUIRED}
    fields.pop("image", None)
    fields |= {name: _size(value, name, where) for name in _SIZES}
    fields |= {name: _list(value, name, where) for name in _LISTS}
    return Sample(**fields, boxes=_boxes(value.get("boxes"), where))


def _check_names(value: Json, where: str) -> None:
    for name in value:
        if name not in FIELDS:
            closest = get_close_matches(name, FIELDS, n=1)
            hint = f", closest is {closest[0]!r}" if closest else ""
            raise QuestionError(
                f"fields among {', '.join(FIELDS)}, got {name!r}{hint} ({where}); correct the "
                "name or leave it out",
                reason="unknown-field",
            )
    lacking = [name for name in _REQUIRED if value.get(name) is None]
    if lacking:
        raise QuestionError(
            f"the fields {', '.join(_REQUIRED)}, got none of {', '.join(lacking)} ({where}); add "
            "them",
            reason="missing-field",
        )


def _text(value: Json, name: str, where: str) -> str:
    text = value.get(name)
    # Ids are often written as numbers; leading zeros are then lost before they get here.
    if name in _IDS and isinstance(text, int) and not isinstance(text, bool):
        return str(text)
    if text is not None and not isinstance(text, str):
        raise _malformed(f"{name} as a text", repr(text), where)
    return (text or "").strip()


def _list(value: Json, name: str, where: str) -> tuple[str, ...]:
    given = value.get(name) or []
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise _malformed(f"{name} as a list of texts", repr(given), where)
    # Two annotators with one answer gave one answer.
    return tuple(dict.fromkeys(text.strip() for text in given if text.strip()))


def _size(value: Json, name: str, where: str) -> int | None:
    size = value.get(name)
    is_whole = isinstance(size, int) and not isinstance(size, bool)
    if size is not None and not (is_whole and 0 < size <= MOST_PIXELS):
        raise _malformed(f"{name} as a positive whole number", repr(size), where)
    return size


def _boxes(value: object, where: str) -> tuple[Box, ...]:
    if value is not None and not isinstance(value, list):
        raise _malformed("boxes as a list", repr(value), where)
    if value is not None and len(value) > _MOST_BOXES:
        raise _malformed(f"at most {_MOST_BOXES} boxes", str(len(value)), where)
    return tuple(_box(box, where) for box in value or [])


def _box(value: object, where: str) -> Box:
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(isinstance(edge, int | float) and not isinstance(edge, bool) for edge in value)
    ):
        raise _malformed("a box as [x, y, width, height]", repr(value), where)
    x, y, width, height = map(float, value)
    return Box(x=x, y=y, width=width, height=height)


def _malformed(expected: str, got: str, where: str) -> QuestionError:
    return QuestionError(f"{expected}, got {got} ({where}); correct it", reason="malformed-row")

"""JSON lines with the fields of `Sample`: one object per line, boxes as [x, y, width, height]."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.samples import Box, Sample

_REQUIRED = ("question_id", "image_id", "task", "question", "answer")
_TEXTS = (*_REQUIRED, "true_option", "false_option", "caption", "image")
_SIZES = ("image_width", "image_height")
_FIELDS = (*_TEXTS, *_SIZES, "object_names", "boxes")


def json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and values of a file; a line that is no JSON becomes a QuestionError as value.

    Raises:
        QuestionError: The file is no UTF-8 text (`unreadable-file`).
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise QuestionError(
            f"a file of JSON lines in UTF-8, got {error} ({path}); save it again",
            reason="unreadable-file",
        ) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _parsed(line, f"{path}:{number}")


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return _malformed("one JSON object per line", f"{error}", where)


def json_sample(value: Any, where: str) -> Sample:
    """The sample of a line, without its image; `image` is a path and is resolved by the caller.

    Raises:
        QuestionError: The value has a wrong type (`malformed-row`), an unknown field
            (`unknown-field`) or lacks a required one (`missing-field`).
    """
    if isinstance(value, QuestionError):
        raise value
    if not isinstance(value, dict):
        raise _malformed("one JSON object per line", type(value).__name__, where)
    _check_names(value, where)
    texts = {name: _text(value, name, where) for name in _TEXTS if name != "image"}
    sizes: dict[str, Any] = {name: _size(value, name, where) for name in _SIZES}
    names = value.get("object_names") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _malformed("object_names as a list of texts", repr(names), where)
    required: dict[str, Any] = {name: (texts.pop(name) or "").strip() for name in _REQUIRED}
    optional: dict[str, Any] = {
        name: text.strip() for name, text in texts.items() if text and text.strip()
    }
    return Sample(
        **required,
        **optional,
        **sizes,
        object_names=tuple(dict.fromkeys(name.strip() for name in names if name.strip())),
        boxes=_boxes(value.get("boxes"), where),
    )


def _check_names(value: Mapping[str, Any], where: str) -> None:
    for name in value:
        if name not in _FIELDS:
            closest = get_close_matches(name, _FIELDS, n=1)
            hint = f", closest is {closest[0]!r}" if closest else ""
            raise QuestionError(
                f"fields among {', '.join(_FIELDS)}, got {name!r}{hint} ({where}); correct the "
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


def _text(value: Mapping[str, Any], name: str, where: str) -> str | None:
    text = value.get(name)
    # Ids are often written as numbers; leading zeros are then lost before they get here.
    if name in ("question_id", "image_id") and isinstance(text, int):
        return str(text)
    if text is not None and not isinstance(text, str):
        raise _malformed(f"{name} as a text", repr(text), where)
    return text


def _size(value: Mapping[str, Any], name: str, where: str) -> int | None:
    size = value.get(name)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size <= 0):
        raise _malformed(f"{name} as a positive whole number", repr(size), where)
    return size


def _boxes(value: Any, where: str) -> tuple[Box, ...]:
    if value is not None and not isinstance(value, list):
        raise _malformed("boxes as a list", repr(value), where)
    return tuple(_box(box, where) for box in value or [])


def _box(value: Any, where: str) -> Box:
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

"""The layout of the six published question sets: one CSV file per task, columns by task.

`-` stands for a missing value. Objects are `central object` in three of the files, `object1` and
`object2` in the others; the task follows from the columns `type_structural` and `type_semantic`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.fields import MOST_PIXELS
from mmflow_bench.inputs.samples import CHOOSE_TASKS, SIX_TASKS, UNKNOWN_TASK, Box, Sample, Task

Row = Mapping[str, str | None]

_TASKS = {
    ("choose", "attr"): Task.CHOOSE_ATTR,
    ("choose", "cat"): Task.CHOOSE_CAT,
    ("choose", "rel"): Task.CHOOSE_REL,
    ("compare", "attr"): Task.COMPARE_ATTR,
    ("logical", "obj"): Task.LOGICAL_OBJ,
    ("query", "attr"): Task.QUERY_ATTR,
}
_TYPES = ("type_structural", "type_semantic")
MISSING = "-"
_BASE = ("question_id", "img_id", "question", "answer")
_OPTIONS = ("true option", "false option")
_PREFIXES = ("central object", "object1", "object2")
TEXTS = (
    *_BASE,
    *_OPTIONS,
    *(f"{prefix} {field}" for prefix in _PREFIXES for field in ("name", "id")),
    "type_detailed",
    *reversed(_TYPES),
    "operations",
    "captions",
)
SIZES = ("image_w", "image_h")
NUMBERS = (*SIZES, *(f"{prefix} {edge}" for prefix in _PREFIXES for edge in "xywh"))
"""Columns in pixels. With `TEXTS`, the columns that are kept when files of several tasks are
written as one; the others follow from these, or are the same in every row."""
_LONGEST_FIELD = 2**31 - 1
"""Captions of one image exceed the 128 KiB at which Python's reader stops."""


def csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Line numbers and rows of a CSV file.

    Raises:
        QuestionError: The file is no CSV (`unreadable-file`), or columns that its task needs are
            missing (`missing-column`).
    """
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # Strict: a quote out of place would swallow rows without a word.
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error
    finally:
        csv.field_size_limit(limit)
    if any("\0" in column for column in columns):
        raise _unreadable(path, "zero bytes, as UTF-16 has them")
    require_columns(path, columns, [row for _, row in rows])
    yield from rows


def _unreadable(path: Path, got: str) -> QuestionError:
    return QuestionError(
        f"a CSV file in UTF-8, got {got} ({path}); save it again as UTF-8", reason="unreadable-file"
    )


def require_columns(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse a table without the columns that its tasks need, by a QuestionError."""
    expected = list(_BASE)
    if _task_of_name(path) is None:
        expected += _TYPES
    tasks = {csv_task(row, path) for row in rows}
    if tasks & set(CHOOSE_TASKS):
        expected += _OPTIONS
    if tasks & set(SIX_TASKS):
        prefix = "central object" if "central object name" in columns else "object1"
        expected += [f"{prefix} {field}" for field in ("name", "x", "y", "w", "h")]
    lacking = [name for name in expected if name not in columns]
    if lacking:
        raise QuestionError(
            f"the columns {', '.join(expected)}, got {', '.join(columns) or 'none'} ({path}: "
            f"without {', '.join(lacking)}); use the layout of the published question sets, or "
            "JSON lines",
            reason="missing-column",
        )


def csv_task(row: Row, path: Path) -> str:
    """The task of a row: from its types, else from the end of the file's name.

    A question form outside the six keeps the name that its types give it.
    """
    structural, semantic = (_value(row, column) for column in _TYPES)
    if structural is None or semantic is None:
        return _task_of_name(path) or UNKNOWN_TASK
    return task_of_types(structural, semantic)


def task_of_types(structural: str, semantic: str) -> str:
    """The task of a group of GQA; another group is named by its two types.

    >>> task_of_types("choose", "attr"), task_of_types("verify", "global")
    ('ChooseAttr', 'verify-global')
    """
    return str(_TASKS.get((structural, semantic), f"{structural}-{semantic}"))


def _task_of_name(path: Path) -> str | None:
    return next((task for task in SIX_TASKS if path.stem.endswith(task)), None)


def csv_sample(row: Row, path: Path) -> Sample:
    """The sample of a row, without its image.

    Raises:
        QuestionError: A number is malformed or the row has more or fewer fields than the header
            (`malformed-row`), or it has no id (`missing-id`).
    """
    question_id = _value(row, "question_id")
    if question_id is None or _value(row, "img_id") is None:
        raise QuestionError(
            f"a question_id and an img_id, got none ({path}); correct the row", reason="missing-id"
        )
    # That is where the reader puts fields beyond the header, and what it fills gaps with.
    if None in row or None in row.values():
        raise QuestionError(
            f"as many fields as the header has, got more or fewer (sample {question_id}, {path}); "
            "check the quotes of the row",
            reason="malformed-row",
        )
    names = [_value(row, f"{prefix} name") for prefix in _PREFIXES]
    boxes = [_box(row, prefix) for prefix in _PREFIXES]
    return Sample(
        question_id=question_id,
        image_id=_value(row, "img_id") or "",
        task=csv_task(row, path),
        question=(row["question"] or "").strip(),
        answer=(row["answer"] or "").strip(),
        true_option=_value(row, "true option"),
        false_option=_value(row, "false option"),
        object_names=tuple(dict.fromkeys(name for name in names if name)),
        boxes=tuple(box for box in boxes if box),
        image_width=_whole(row, "image_w"),
        image_height=_whole(row, "image_h"),
        caption=_value(row, "captions"),
    )


def _value(row: Row, column: str) -> str | None:
    text = (row.get(column) or "").strip()
    return None if text in ("", MISSING) else text


def _box(row: Row, prefix: str) -> Box | None:
    x, y, width, height = (_number(row, f"{prefix} {edge}") for edge in "xywh")
    if x is None or y is None or width is None or height is None:
        return None
    return Box(x=x, y=y, width=width, height=height)


def _number(row: Row, column: str) -> float | None:
    text = _value(row, column)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise QuestionError(
            f"a number of pixels under {column!r}, got {text!r} (sample {row['question_id']}); "
            "correct the row",
            reason="malformed-row",
        ) from error


def _whole(row: Row, column: str) -> int | None:
    number = _number(row, column)
    if number is not None and not abs(number) <= MOST_PIXELS:
        raise QuestionError(
            f"a number of pixels under {column!r}, got {number} (sample {row['question_id']}); "
            "correct the row",
            reason="malformed-row",
        )
    return None if number is None else round(number)

"""Which format a question file has, and its rows, each to be understood on its own.

Formats are told by suffix, and `.json` files by what they hold. Columns or fields named as in the
published sets make the published layout; those of the Sample record make one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.fields import LONGEST_NAME
from mmflow_bench.inputs.json_lines import (
    NOT_JSON,
    json_rows,
    json_sample,
    json_text,
    json_value,
)
from mmflow_bench.inputs.published import Row as CsvRow
from mmflow_bench.inputs.published import csv_rows, csv_sample, csv_task, require_columns
from mmflow_bench.inputs.question_sets import SUFFIXES
from mmflow_bench.inputs.samples import A_OKVQA, OKVQA, UNKNOWN_TASK, Sample
from mmflow_bench.inputs.tables import is_published, table_rows, texts
from mmflow_bench.inputs.vqa import is_annotated, is_okvqa, okvqa_rows, vqa_image_names, vqa_sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, before it is understood."""

    where: str
    known: dict[str, str]
    """What is known of a row that is refused: its id, image and task."""
    read: Callable[[], Sample]
    """The sample without its image; raises SampleError."""
    image: str | None = None
    """Path that the row itself gives to its image."""
    image_names: tuple[str, ...] = ()
    """Names to look for in place of the image id."""


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of one question file; a QuestionError as `read_questions` has it."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise QuestionError(
            f"a question file ({', '.join(SUFFIXES)}), got {path.name!r}; rename or convert it",
            reason="unknown-format",
        )
    if suffix == ".csv":
        return published_rows(csv_rows(path), path)
    if suffix == ".parquet":
        return _table(path)
    # Some write JSON lines under the suffix of JSON.
    document = _document(path) if suffix == ".json" else None
    if document is None:
        return _own(json_rows(path), path)
    return _of_document(document, path)


def published_rows(rows: Iterable[tuple[int, CsvRow]], path: Path) -> Iterator[Row]:
    """Rows of the published layout, by line.

    Args:
        rows: Line numbers and cells.
        path: The file they are from; its name tells the task where columns do not.
    """
    for line, row in rows:
        yield Row(
            where=f"{path}:{line}",
            known=_named(
                (row.get("question_id") or "").strip() or f"line {line}",
                (row.get("img_id") or "").strip(),
                csv_task(row, path),
            ),
            read=partial(csv_sample, row, path),
        )


def _own(rows: Iterable[tuple[int, object]], path: Path) -> Iterator[Row]:
    for line, value in rows:
        where = f"{path}:{line}"
        given: Json = value if isinstance(value, dict) else {}
        image = given.get("image")
        yield Row(
            where=where,
            known=_known(given, line, str(given.get("task") or UNKNOWN_TASK)),
            read=partial(json_sample, value, where),
            image=image if isinstance(image, str) else None,
        )


def _table(path: Path) -> Iterator[Row]:
    columns, values = table_rows(path)
    if not is_published(columns):
        return _own(enumerate(values, start=1), path)
    rows: list[CsvRow] = [texts(value) for value in values]
    require_columns(path, columns, rows)
    return published_rows(enumerate(rows, start=1), path)


def _document(path: Path) -> object:
    """The one value that a file holds; None where it holds lines."""
    try:
        return json_value(json_text(path))
    except NOT_JSON:
        return None


def _of_document(document: object, path: Path) -> Iterator[Row]:
    if is_okvqa(document):
        return _vqa(okvqa_rows(document, path), path, OKVQA)
    if isinstance(document, list) and any(is_annotated(value) for value in document):
        return _vqa(document, path, A_OKVQA)
    if isinstance(document, list):
        return _own(enumerate(document, start=1), path)
    if _is_gqa(document):
        raise QuestionError(
            f"a question set, got GQA's own questions ({path}); make a set of them with `mmflow "
            f"build-set --gqa-questions={path.name} --scene-graphs=FILE`",
            reason="unknown-format",
        )
    return _own([(1, document)], path)


def _vqa(values: Iterable[object], path: Path, task: str) -> Iterator[Row]:
    for number, value in enumerate(values, start=1):
        where = f"{path}:{number}"
        given: Json = value if isinstance(value, dict) else {}
        yield Row(
            where=where,
            known=_known(given, number, task),
            read=partial(vqa_sample, value, task, where),
            image_names=vqa_image_names(given.get("image_id")),
        )


def _known(given: Json, line: int, task: str) -> dict[str, str]:
    question_id = str(given.get("question_id") or f"line {line}")
    return _named(question_id, str(given.get("image_id") or ""), task)


def _named(question_id: str, image_id: str, task: str) -> dict[str, str]:
    names = {"question_id": question_id, "image_id": image_id, "task": task}
    # Of a row that is refused a reader wants to know which, not all of a name of ten megabytes.
    return {key: name[:LONGEST_NAME] for key, name in names.items()}


def _is_gqa(document: object) -> bool:
    values = list(document.values()) if isinstance(document, dict) else []
    return bool(values) and isinstance(values[0], dict) and "semantic" in values[0]

"""Question files as Parquet: the published columns with types, or the fields of the Sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.published import NUMBERS, TEXTS

_OWN_IDS = {"question_id", "image_id"}


def table_rows(path: Path) -> tuple[list[str], list[Json]]:
    """Column names and rows of a Parquet file; empty cells are left out of a row.

    Raises:
        QuestionError: It is no Parquet file (`unreadable-file`), or a column cannot hold what its
            name says (`wrong-type`).
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            wanted = list(schema.names)
            if is_published(schema.names):
                # Published tables may carry columns of any type that nothing here reads.
                wanted = checked = [name for name in wanted if name in TEXTS or name in NUMBERS]
            else:
                # The reader of rows checks the other fields of the Sample record one by one.
                checked = [name for name in wanted if name in _OWN_IDS]
            _check_types(path, schema, checked)
            rows = file.read(columns=wanted).to_pylist()
    except QuestionError:
        raise
    # Of Arrow's errors some are a ValueError, a KeyError or a MemoryError, too.
    except (OSError, ValueError, LookupError, TypeError, MemoryError, pa.ArrowException) as error:
        raise QuestionError(
            f"a Parquet file, got {type(error).__name__}: {error} ({path}); write it again",
            reason="unreadable-file",
        ) from error
    return list(schema.names), [_filled(row) for row in rows]


def is_published(columns: Sequence[str]) -> bool:
    """Whether columns are those of the published sets, not those of the Sample record."""
    return "img_id" in columns or "image_id" not in columns


def texts(row: Json) -> dict[str, str | None]:
    """A row of published columns as a CSV file would hold it."""
    return {name: str(value) for name, value in row.items()}


def _check_types(path: Path, schema: pa.Schema, names: Sequence[str]) -> None:
    for name in names:
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(is_kind(kind) for is_kind in _kinds(name)):
            raise QuestionError(
                f"{'numbers' if name in NUMBERS else 'texts'} under {name!r}, got {kind} ({path}); "
                "convert the column",
                reason="wrong-type",
            )


def _kinds(name: str) -> list[Callable[[pa.DataType], bool]]:
    kinds = pa.types
    text = [kinds.is_string, kinds.is_large_string, kinds.is_string_view, kinds.is_null]
    if name in NUMBERS:
        return [*text, kinds.is_integer, kinds.is_floating]
    # An id that went through a floating-point column is no id any more: 42 became 42.0.
    return [*text, kinds.is_integer] if name.endswith("id") else text


def _filled(row: Json) -> Json:
    cells: Json = {}
    for name, value in row.items():
        if isinstance(value, float):
            # A column of whole numbers with empty cells is often stored as floating point.
            value = None if math.isnan(value) else int(value) if value.is_integer() else value
        if value is not None:
            cells[name] = value
    return cells

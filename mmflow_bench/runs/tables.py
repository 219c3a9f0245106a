"""The tables of a run folder: mechanisms, and beside them what was measured sample by sample.

Each process writes its own part of a table; `merge_parts` makes one of them. Sweeps and lens are
what verdicts were read off. Questions are for readers, who want to see a sample and not only its
numbers. Answers are for the comparison of two runs, which pairs samples by content: the sweeps have
those alone that were answered correctly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypedDict, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmflow_bench.errors import StoreError
from mmflow_bench.files import replacing, require_file
from mmflow_bench.runs.folder import ANSWERS, LENS, MECHANISMS, QUESTIONS, SAMPLES, writing
from mmflow_bench.runs.ranges import refuse_out_of_range
from mmflow_bench.runs.rows import MechanismRow

if TYPE_CHECKING:
    from mmflow_bench.measurements.knockout_sweep import SweepTable
    from mmflow_bench.measurements.lens import LensTable


class SweepRow(TypedDict):
    """One edge cut around every layer on one sample."""

    task: str
    question_id: str
    image_id: str
    edge: str
    method: str
    window: int
    base_probability: float
    relative_change: list[float]


class LensRow(TypedDict):
    """What the logit lens gives to one probe on one sample."""

    task: str
    probe: str
    variant: str
    question_id: str
    image_id: str
    probability: list[float]
    """By depth, the embedding first."""


class Patches(TypedDict):
    """The grid that a checkpoint sees an image as, and the cells that show the objects."""

    width: int
    height: int
    rows: int
    columns: int
    left: float
    top: float
    cell_width: float
    cell_height: float
    related: list[int]


class QuestionRow(TypedDict):
    """What was asked and answered."""

    task: str
    question_id: str
    image_id: str
    question: str
    answer: str
    prediction: str | None
    is_correct: bool
    image_width: int | None
    image_height: int | None
    boxes: list[list[float]]
    """x, y, width, height in pixels of the image."""
    patches: Patches | None


class AnswerRow(TypedDict):
    """What one sample was answered with."""

    task: str
    question_id: str
    image_id: str
    sample: str
    """Content hash of the sample: question, options, boxes and pixels."""
    prediction: str
    is_correct: bool
    answer_token_id: int
    """The first token of the answer, whose probability is followed."""
    base_probability: float


_KEYS: Mapping[str, tuple[str, ...]] = {
    SAMPLES: ("task", "edge", "method", "window", "question_id"),
    LENS: ("task", "probe", "variant", "question_id"),
    QUESTIONS: ("task", "question_id"),
    ANSWERS: ("task", "question_id"),
}
"""Columns that tell the rows of a table apart."""
CURVES = frozenset({"relative_change", "probability"})
"""Columns with a number for every layer of the checkpoint."""
MOST_ROWS, MOST_BYTES = 20_000_000, 2**31
"""Of a table, unpacked; the paper's six sets on one checkpoint are a hundredth of it."""
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow(kind: Any) -> pa.DataType:
    """The type of a column that holds what an annotation says."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    inside = [one for one in get_args(kind) if one is not NoneType]
    if get_origin(kind) in {list, tuple}:
        return pa.list_(_arrow(inside[0]))
    if inside:
        # `X | None`: every column of Arrow may hold nulls.
        return _arrow(inside[0])
    return pa.struct([(name, _arrow(one)) for name, one in get_type_hints(kind).items()])


def _schema(record: type, names: Iterable[str] | None = None) -> pa.Schema:
    kinds = get_type_hints(record)
    return pa.schema([(name, _arrow(kinds[name])) for name in names or kinds])


def _required(record: type) -> frozenset[str]:
    """Columns that have a value in every row; a run writes a null for none of them."""
    kinds = get_type_hints(record)
    return frozenset(name for name, kind in kinds.items() if NoneType not in get_args(kind))


SCHEMAS: Mapping[str, pa.Schema] = {
    MECHANISMS: _schema(MechanismRow, [one.name for one in fields(MechanismRow)]),
    SAMPLES: _schema(SweepRow),
    LENS: _schema(LensRow),
    QUESTIONS: _schema(QuestionRow),
    ANSWERS: _schema(AnswerRow),
}

_RECORDS = {
    MECHANISMS: MechanismRow,
    SAMPLES: SweepRow,
    LENS: LensRow,
    QUESTIONS: QuestionRow,
    ANSWERS: AnswerRow,
}


def sweep_rows(sweeps: Iterable[SweepTable]) -> Iterator[SweepRow]:
    """One row per sample, edge and method; `relative_change` is a fraction, by window centre."""
    for sweep in sweeps:
        change = sweep.relative_change
        for i, question_id in enumerate(sweep.question_ids):
            yield {
                "task": sweep.task,
                "question_id": question_id,
                "image_id": sweep.image_ids[i],
                "edge": sweep.edge,
                "method": str(sweep.method),
                "window": int(sweep.window),
                "base_probability": float(sweep.base_probability[i]),
                "relative_change": change[i].tolist(),
            }


def lens_rows(tables: Iterable[LensTable]) -> Iterator[LensRow]:
    """One row per sample, probe and variant; `probability` by depth, the embedding first."""
    for table in tables:
        for i, question_id in enumerate(table.question_ids):
            yield {
                "task": table.task,
                "probe": table.probe,
                "variant": table.variant,
                "question_id": question_id,
                "image_id": table.image_ids[i],
                "probability": table.probability[i].tolist(),
            }


def write_part(folder: Path, name: str, part: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one process's rows of the table `name`; `part` tells the process from others.

    Raises:
        StoreError: The folder cannot be written.
    """
    if found := [dict(row) for row in rows]:
        with writing(folder):
            write_table(folder / f".{name}-{part}-{os.getpid()}.part", name, found)


def merge_parts(folder: Path) -> None:
    """One table of the parts of all processes, each row once, in the order of its keys."""
    for name, keys in _KEYS.items():
        parts = sorted(folder.glob(f".{name}-*.part"))
        if not parts:
            continue
        rows = pa.concat_tables([pq.read_table(path) for path in parts]).to_pylist()
        # Two workers may have read the same curve: a cross-task mechanism reads every task.
        unique = {tuple(row[key] for key in keys): row for row in rows}
        write_table(folder / name, name, [unique[key] for key in sorted(unique)])
        for path in parts:
            path.unlink()


def write_table(path: Path, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMAS[name]), temporary)


def read_table(path: Path) -> list[Any]:
    """The rows of a table as dictionaries; none where a run has left no such table.

    Raises:
        StoreError: The file is damaged, or is no table of this name.
    """
    return checked_table(path).to_pylist() if path.exists() else []


def checked_table(path: Path) -> pa.Table:
    """The same as Arrow has it: with the columns of its name, in their types, and no others.

    Raises:
        StoreError: As `read_table`.
    """
    declared = SCHEMAS[path.name]
    try:
        require_file(path)
        with pq.ParquetFile(path) as file:
            _require_size(file.metadata)
            _require_columns(file.schema_arrow, declared)
            table = file.read(columns=declared.names).select(declared.names).cast(declared)
        # Before a value is looked at: a damaged file may point out of its own memory.
        table.validate(full=True)
        _require_rows(table, path.name)
    # Of Arrow's errors some are a ValueError, a KeyError or a MemoryError, too.
    except (OSError, ValueError, LookupError, TypeError, MemoryError, pa.ArrowException) as error:
        raise StoreError(
            f"a readable {path.name}, got {error} ({path}); the file is damaged, run again"
        ) from error
    refuse_out_of_range(table, path)
    return table


def _require_size(metadata: pq.FileMetaData) -> None:
    """Refuse what is small on disk and fills the memory."""
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if metadata.num_rows > MOST_ROWS or size > MOST_BYTES:
        raise ValueError(f"{metadata.num_rows} rows of {size} bytes, more than any run leaves")


def _require_columns(found: pa.Schema, declared: pa.Schema) -> None:
    for column in declared:
        places = found.get_all_field_indices(column.name)
        if len(places) != 1:
            raise ValueError(f"{len(places) or 'no'} columns {column.name!r}, one is expected")
        kind = found.field(places[0]).type
        if not _is_like(kind, column.type):
            raise ValueError(f"{kind} under {column.name!r}, {column.type} is expected")


def _is_like(found: pa.DataType, declared: pa.DataType) -> bool:
    """Whether a column holds the same kind of values, in whatever width a writer has chosen."""
    kinds = pa.types
    if kinds.is_dictionary(found):
        return _is_like(found.value_type, declared)
    if kinds.is_list(declared):
        is_list = kinds.is_list(found) or kinds.is_large_list(found)
        return is_list and _is_like(found.value_type, declared.value_type)
    if kinds.is_struct(declared):
        inside = {one.name: one.type for one in found} if kinds.is_struct(found) else {}
        return all(one.name in inside and _is_like(inside[one.name], one.type) for one in declared)
    if kinds.is_string(declared):
        return any(is_text(found) for is_text in _TEXTS)
    return any(is_kind(found) and is_kind(declared) for is_kind in _NUMBERS)


def _require_rows(table: pa.Table, name: str) -> None:
    """Refuse missing values, curves of several lengths, and a row that is there twice."""
    required = _required(_RECORDS[name])
    for column in table.schema.names:
        values = table[column].combine_chunks()
        if (column in required and values.null_count) or _has_gap(values):
            raise ValueError(f"an empty value under {column!r}")
        # All curves of a checkpoint are of its layers.
        if column in CURVES and len(pc.unique(pc.list_value_length(values))) > 1:
            raise ValueError(f"lists of different lengths under {column!r}")
    if name == QUESTIONS:
        _require_shapes(table)
    keys = _KEYS.get(name)
    if keys and table.group_by(list(keys)).aggregate([]).num_rows != table.num_rows:
        raise ValueError(f"two rows with the same {', '.join(keys)}")


def _has_gap(values: pa.Array) -> bool:
    """Whether something within a list or a record is missing."""
    inside = []
    if pa.types.is_list(values.type):
        inside = [values.flatten()]
    elif pa.types.is_struct(values.type):
        inside = values.drop_null().flatten()
    return any(part.null_count or _has_gap(part) for part in inside)


def _require_shapes(questions: pa.Table) -> None:
    """Refuse boxes that are none, and sizes that nothing can be drawn in."""
    boxes = questions["boxes"].combine_chunks().flatten()
    if pc.any(pc.not_equal(pc.list_value_length(boxes), 4)).as_py():
        raise ValueError("a box that is not x, y, width and height")
    grids = questions["patches"].combine_chunks().drop_null()
    sizes = [questions["image_width"], questions["image_height"]]
    sizes += [grids.field(side) for side in ("width", "height", "rows", "columns")]
    if any(pc.any(pc.less(size, 1)).as_py() for size in sizes):
        raise ValueError("a size below one")

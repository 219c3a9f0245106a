"""The tables of a run folder: mechanisms, and beside them what was measured sample by sample.

Each process writes its own part of a table; `merge_parts` makes one of them. Sweeps, lens and
semantics are what verdicts were read off, pieces the sweeps of the last sub-word of answers that
have several. Questions are for readers, who want to see a sample and not only its numbers. Answers
are for the comparison of two runs, which pairs samples by content: the sweeps have those alone that
were answered correctly.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypedDict, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmflow_bench.files import replacing
from mmflow_bench.runs.folder import (
    ANSWERS,
    LENS,
    MECHANISMS,
    PIECES,
    QUESTIONS,
    REMOVAL,
    SAMPLES,
    SEMANTICS,
    writing,
)
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.store.columns import combined, ranks

if TYPE_CHECKING:
    from mmflow_bench.measurements.knockout_sweep import SweepTable
    from mmflow_bench.measurements.lens import LensTable
    from mmflow_bench.measurements.question_semantics import SemanticsTable
    from mmflow_bench.measurements.removal import RemovalTable


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


class SemanticsRow(TypedDict):
    """How much of what the question says stays without a module or an edge, on one sample."""

    task: str
    without: str
    window: int
    question_id: str
    image_id: str
    similarity: list[float]
    """By layer, of all positions together."""
    position_similarity: list[float]
    """By layer, the mean over positions."""


class RemovalRow(TypedDict):
    """One sample answered without its image, or part of it, from some layers on."""

    task: str
    removed: str
    question_id: str
    image_id: str
    is_followed: bool
    first_layer: list[int]
    """Ascending; at last the depth of the decoder, with nothing removed."""
    is_correct: list[bool]
    probability: list[float]
    operations: list[float]
    cache_bytes: list[float]


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


KEYS: Mapping[str, tuple[str, ...]] = {
    SAMPLES: ("task", "edge", "method", "window", "question_id"),
    PIECES: ("task", "edge", "method", "window", "question_id"),
    LENS: ("task", "probe", "variant", "question_id"),
    SEMANTICS: ("task", "without", "window", "question_id"),
    REMOVAL: ("task", "removed", "question_id"),
    QUESTIONS: ("task", "question_id"),
    ANSWERS: ("task", "question_id"),
}
"""Columns that tell the rows of a table apart."""
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


RECORDS: Mapping[str, type] = {
    MECHANISMS: MechanismRow,
    SAMPLES: SweepRow,
    PIECES: SweepRow,
    LENS: LensRow,
    SEMANTICS: SemanticsRow,
    REMOVAL: RemovalRow,
    QUESTIONS: QuestionRow,
    ANSWERS: AnswerRow,
}
"""What a row of each table is."""
SCHEMAS: Mapping[str, pa.Schema] = {
    name: _schema(record, [one.name for one in fields(record)] if is_dataclass(record) else None)
    for name, record in RECORDS.items()
}


def sweep_rows(sweeps: Iterable[SweepTable]) -> pa.Table:
    """One row per sample, edge and method; `relative_change` is a fraction, by window centre."""
    return _joined(
        SAMPLES,
        (
            {
                **_samples_of(sweep),
                "edge": sweep.edge,
                "method": str(sweep.method),
                "window": sweep.window,
                "base_probability": sweep.base_probability,
                "relative_change": sweep.relative_change,
            }
            for sweep in sweeps
        ),
    )


def lens_rows(tables: Iterable[LensTable]) -> pa.Table:
    """One row per sample, probe and variant; `probability` by depth, the embedding first."""
    return _joined(
        LENS,
        (
            {
                **_samples_of(table),
                "probe": table.probe,
                "variant": table.variant,
                "probability": table.probability,
            }
            for table in tables
        ),
    )


def semantics_rows(tables: Iterable[SemanticsTable]) -> pa.Table:
    """One row per sample and what is taken away; similarities by layer."""
    return _joined(
        SEMANTICS,
        (
            {
                **_samples_of(table),
                "without": table.without,
                "window": table.window,
                "similarity": table.similarity,
                "position_similarity": table.position_similarity,
            }
            for table in tables
        ),
    )


def removal_rows(tables: Iterable[RemovalTable]) -> pa.Table:
    """One row per sample and kind of removal; lists by the first layer without the positions."""
    return _joined(
        REMOVAL,
        (
            {
                **_samples_of(table),
                "removed": str(table.removed),
                "is_followed": table.is_followed,
                "first_layer": np.tile(table.layers, (len(table.question_ids), 1)),
                "is_correct": table.is_correct,
                "probability": table.probability,
                "operations": table.operations,
                "cache_bytes": table.cache_bytes,
            }
            for table in tables
        ),
    )


def _samples_of(table: SweepTable | LensTable | SemanticsTable | RemovalTable) -> dict[str, object]:
    """What every table of measurements has, by column."""
    return {
        "question_id": table.question_ids,
        "image_id": table.image_ids,
        "task": table.task,
    }


def _joined(name: str, parts: Iterable[Mapping[str, object]]) -> pa.Table:
    """Some columns each, the first of which has a value for every row, as one table."""
    schema = SCHEMAS[name]
    tables = [
        pa.table([_column(part[one.name], one.type, part) for one in schema], schema=schema)
        for part in parts
    ]
    return pa.concat_tables([schema.empty_table(), *tables])


def _column(values: object, kind: pa.DataType, part: Mapping[str, object]) -> pa.Array:
    rows = len(part["question_id"])  # type: ignore[arg-type]
    if isinstance(values, str | int):
        return pa.repeat(pa.scalar(values, kind), rows)
    if not isinstance(values, np.ndarray) or values.ndim == 1:
        return pa.array(values, kind)
    ends = values.shape[1] * np.arange(rows + 1)
    items = pa.array(np.ascontiguousarray(values).ravel(), kind.value_type)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), items)


def write_part(folder: Path, name: str, rows: pa.Table | Iterable[Mapping[str, object]]) -> None:
    """Write some rows of the table `name`, beside those of other processes.

    A process may do so more than once: a worker takes up checkpoints again that it has closed.

    Raises:
        StoreError: The folder cannot be written.
    """
    table = rows if isinstance(rows, pa.Table) else _of_rows(name, rows)
    if len(table):
        with writing(folder):
            _write(folder / f".{name}-{uuid.uuid4().hex}.part", table)


def merge_parts(folder: Path) -> None:
    """One table of the parts of all processes, each row once, in the order of its keys."""
    for name, keys in KEYS.items():
        parts = sorted(folder.glob(f".{name}-*.part"))
        if not parts:
            continue
        table = pa.concat_tables([pq.read_table(path) for path in parts]).combine_chunks()
        place = combined([ranks(table[key]) for key in keys])
        order = np.argsort(place, kind="stable")
        # Two workers may have read the same curve: a cross-task mechanism reads every task.
        is_last = np.append(place[order[1:]] != place[order[:-1]], True)
        _write(folder / name, table.take(order[is_last]).combine_chunks())
        for path in parts:
            path.unlink()


def write_table(path: Path, name: str, rows: Iterable[Mapping[str, object]]) -> None:
    _write(path, _of_rows(name, rows))


def _of_rows(name: str, rows: Iterable[Mapping[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMAS[name])


def _write(path: Path, table: pa.Table) -> None:
    with replacing(path) as temporary:
        pq.write_table(table, temporary)

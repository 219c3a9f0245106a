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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmflow_bench.files import replacing
from mmflow_bench.runs.folder import LENS, REMOVAL, SAMPLES, SEMANTICS, writing
from mmflow_bench.runs.records import KEYS, SCHEMAS
from mmflow_bench.store.columns import combined, ranks

if TYPE_CHECKING:
    from mmflow_bench.measurements.knockout_sweep import SweepTable
    from mmflow_bench.measurements.lens import LensTable
    from mmflow_bench.measurements.question_semantics import SemanticsTable
    from mmflow_bench.measurements.removal import RemovalTable

    _Table = SweepTable | LensTable | SemanticsTable | RemovalTable

_MEASURED = {"question_id": "question_ids", "image_id": "image_ids", "first_layer": "layers"}
"""Columns that measurements call otherwise."""


def sweep_rows(tables: Iterable[SweepTable]) -> pa.Table:
    """One row per sample, edge and method; `relative_change` is a fraction, by window centre."""
    return _measured(SAMPLES, tables)


def lens_rows(tables: Iterable[LensTable]) -> pa.Table:
    """One row per sample, probe and variant; `probability` by depth, the embedding first."""
    return _measured(LENS, tables)


def semantics_rows(tables: Iterable[SemanticsTable]) -> pa.Table:
    """One row per sample and what is taken away; similarities by layer."""
    return _measured(SEMANTICS, tables)


def removal_rows(tables: Iterable[RemovalTable]) -> pa.Table:
    """One row per sample and kind of removal; lists by the first layer without the positions."""
    return _measured(REMOVAL, tables)


def _measured(name: str, tables: Iterable[_Table]) -> pa.Table:
    """What some measurements have of the columns of the table `name`."""
    schema = SCHEMAS[name]
    parts = [pa.table([_column(table, one) for one in schema], schema=schema) for table in tables]
    return pa.concat_tables([schema.empty_table(), *parts])


def _column(table: _Table, column: pa.Field) -> pa.Array:
    """One value for each sample, also where all have the same."""
    rows = len(table.question_ids)
    values = getattr(table, _MEASURED.get(column.name, column.name))
    if isinstance(values, str | int):
        return pa.repeat(pa.scalar(values, column.type), rows)
    if not pa.types.is_list(column.type):
        return pa.array(values, column.type)
    lists = np.broadcast_to(values, (rows, np.shape(values)[-1]))
    ends = lists.shape[1] * np.arange(rows + 1)
    items = pa.array(lists.ravel(), column.type.value_type)
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

"""Tables of a run folder read back, whoever has written them.

Columns and types are those of the records that a run writes; what their numbers may be is in
`ranges`. A table that is another is refused as a whole.
"""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmflow_bench.errors import StoreError
from mmflow_bench.files import require_file
from mmflow_bench.runs.folder import QUESTIONS
from mmflow_bench.runs.ranges import refuse_out_of_range
from mmflow_bench.runs.records import KEYS, RECORDS, SCHEMAS

MOST_ROWS, MOST_BYTES = 20_000_000, 2**31
"""Of a table, unpacked; the paper's six sets on one checkpoint are a hundredth of it."""
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)


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


def _required(record: type) -> frozenset[str]:
    """Columns that have a value in every row; a run writes a null for none of them."""
    kinds = get_type_hints(record)
    return frozenset(name for name, kind in kinds.items() if NoneType not in get_args(kind))


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
    """Refuse missing values, and a row that is there twice."""
    required = _required(RECORDS[name])
    for column in table.schema.names:
        values = table[column].combine_chunks()
        if (column in required and values.null_count) or _has_gap(values):
            raise ValueError(f"an empty value under {column!r}")
    if name == QUESTIONS:
        _require_shapes(table)
    keys = KEYS.get(name)
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

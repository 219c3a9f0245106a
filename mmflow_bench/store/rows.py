"""Rows of Parquet files: reading them whole, and merging those of several writers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_rows(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All rows of one file, or some columns of them."""
    # Opened once: `pq.read_table` of a path opens it again for the rows, and another process may
    # have put a longer or shorter file in its place by then.
    with path.open("rb") as file:
        return pq.ParquetFile(file).read(columns)


def samples_in(files: Sequence[Path]) -> frozenset[str]:
    """Content hashes of the samples that have rows in `files`."""
    columns = (read_rows(path, ["sample"])["sample"] for path in files)
    return frozenset(name for column in columns for name in column.unique().to_pylist())


def sorted_unique(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """One row per key, in key order: a row journalled twice (two workers) is kept once."""
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys])
    table = table.take(order).combine_chunks()
    is_first = np.ones(len(table), dtype=bool)
    is_first[1:] = np.any([_is_new(table[name]) for name in keys], axis=0)
    return table.filter(pa.array(is_first)).combine_chunks()


def _is_new(column: pa.ChunkedArray) -> np.ndarray:
    """Whether each value but the first differs from the one before it."""
    codes = column.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy()
    return np.asarray(codes[1:] != codes[:-1])

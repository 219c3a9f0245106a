"""Columns of text as numbers: a store has few samples, and very many rows of each.

A content hash stands in hundreds of rows. Each text is held once, rows have its number, and rows
are compared, sorted and chosen by numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SPARSE = 8
"""So many times more numbers than rows may be looked up in a table."""


@lru_cache(maxsize=256)
def held(schema: pa.Schema) -> pa.Schema:
    """How columns of a schema lie in memory: text by number."""
    kinds = [_held(one.type) for one in schema]
    return pa.schema(one.with_type(kind) for one, kind in zip(schema, kinds, strict=True))


def plain(table: pa.Table) -> pa.Table:
    """The same table with its text written out."""
    fields = [
        one.with_type(one.type.value_type) if pa.types.is_dictionary(one.type) else one
        for one in table.schema
    ]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def by_number(array: pa.Array) -> pa.Array:
    """Text with every value once, in the order in which values come; other arrays as they are."""
    if pa.types.is_string(array.type):
        return array.dictionary_encode()
    if not pa.types.is_dictionary(array.type):
        return array
    if len(array.dictionary.unique()) < len(array.dictionary):
        return array.cast(array.type.value_type).dictionary_encode()
    codes = array.indices.drop_null().to_numpy()
    first = np.full(len(array.dictionary), len(codes))
    # Of values that are given to one place the last stays: of a column turned round, the first.
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    dictionary = array.dictionary.take(order[: np.count_nonzero(first < len(codes))])
    indices = pa.array(place.astype(np.int32)).take(array.indices)
    return pa.DictionaryArray.from_arrays(indices, dictionary)


def texts(column: pa.ChunkedArray) -> np.ndarray:
    """Text by row as Python has it, each held once however many rows it stands in."""
    array = by_number(column.combine_chunks())
    names: np.ndarray = np.array(array.dictionary.to_pylist(), object)
    return np.asarray(names[array.indices.to_numpy()])


def ranks(column: pa.ChunkedArray) -> np.ndarray:
    """A number for each value of a column without gaps, in the order of the values, from 0 on."""
    array = by_number(column.combine_chunks())
    if pa.types.is_dictionary(array.type):
        order = pc.sort_indices(array.dictionary).to_numpy()
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        return np.asarray(place[array.indices.to_numpy()])
    values = array.to_numpy(zero_copy_only=False)
    if not len(values) or values.dtype.kind not in "iu":
        return np.unique(values, return_inverse=True)[1]
    least, most = int(values.min()), int(values.max())
    if most - least > _SPARSE * len(values):
        return np.unique(values, return_inverse=True)[1]
    return _without_gaps(values.astype(np.int64) - least)


def combined(numbers: Sequence[np.ndarray]) -> np.ndarray:
    """One number for each combination of `ranks`, in the order of the combinations, from 0 on."""
    found, *others = numbers
    for other in others:
        if len(found):
            found = _without_gaps(found * (int(other.max()) + 1) + other)
    return found


def _without_gaps(numbers: np.ndarray) -> np.ndarray:
    most = int(numbers.max()) + 1
    if most > _SPARSE * len(numbers):
        return np.unique(numbers, return_inverse=True)[1]
    is_there = np.zeros(most, dtype=bool)
    is_there[numbers] = True
    return np.asarray((np.cumsum(is_there) - 1)[numbers])


def _held(kind: pa.DataType) -> pa.DataType:
    return pa.dictionary(pa.int32(), kind) if pa.types.is_string(kind) else kind

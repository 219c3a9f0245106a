"""What a table of a store holds: its columns, what tells its rows apart, which values may be.

Rows are checked before they are written and whenever they are read: a number that cannot be is
never handed on, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmflow_bench.errors import StoreError
from mmflow_bench.store.columns import combined, held, plain, ranks

PROBABILITY = (0.0, 1.0 + 1e-9)
"""Sums of probabilities may exceed one by their rounding."""
AT_LEAST_ZERO = (0.0, inf)
AT_LEAST_ONE = (1.0, inf)
LAYER = "layer"
"""A key column of this name counts layers, from 0 without a gap."""


def filled(name: str, kind: pa.DataType) -> pa.Field:
    """A column that has a value in every row."""
    return pa.field(name, kind, nullable=False)


class Damaged(Exception):
    """Something else than what was measured: says what was expected, and what came."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One table of a store: how its files are named, and what its rows hold.

    Two shards of one name are one; what kinds of measurement there are is not known here.
    """

    name: str
    """Of the file, and of what could not be measured; written from a record and never parsed."""
    schema: pa.Schema = field(compare=False, repr=False)
    """A field that is not nullable has a value in every row."""
    keys: tuple[str, ...] = field(default=("sample",), compare=False, repr=False)
    """Columns that tell its rows apart, `sample` first: the content hash of a sample."""
    ranges: Mapping[str, tuple[float, float]] = field(
        default_factory=dict, compare=False, repr=False
    )
    """Column -> its least and its greatest value; any other number is finite."""

    def table(self, rows: Sequence[Mapping[str, object]]) -> pa.Table:
        """Rows that were measured, as a table.

        Raises:
            StoreError: They are not what this shard holds.
        """
        try:
            table = pa.Table.from_pylist(list(rows), schema=self.schema)
            self.check(self.typed(table))
        except (Damaged, pa.ArrowException, ValueError, TypeError, OverflowError) as why:
            raise StoreError(
                f"measurements that can be: {why} ({self.name}); a kind of measurement gave rows "
                "that its shard does not allow, which is a mistake in its code"
            ) from why
        return table

    def typed(self, table: pa.Table) -> pa.Table:
        """A table with the columns of this shard, text by number (`columns`).

        Raises:
            Damaged: It has other columns, or lacks values.
        """
        expected = held(self.schema)
        found, kinds = (
            {one.name: one.type for one in schema} for schema in (held(table.schema), expected)
        )
        if found != kinds or len(table.schema) != len(expected):
            got = plain(table).schema
            raise Damaged(f"the columns {_listed(self.schema)}, got {_listed(got)}")
        columns = [table[name] for name in expected.names]
        for one, column in zip(expected, columns, strict=True):
            if column.null_count and (not one.nullable or one.name in self.keys):
                raise Damaged(f"a value of {one.name} in every row, got {column.null_count} empty")
        return pa.table(columns, names=expected.names).cast(expected)

    def check(self, table: pa.Table) -> None:
        """Look at every value of a table with the schema of this shard.

        Raises:
            Damaged: A value is out of its range, a row is there twice, or a layer is missing.
        """
        for one in self.schema:
            self._check_range(one.name, table[one.name])
        if len(table):
            codes = {name: ranks(table[name]) for name in self.keys if name != LAYER}
            if LAYER in self.keys:
                _check_layers(table[LAYER].to_numpy(), codes)
            elif combined(list(codes.values())).max() + 1 < len(table):
                raise Damaged(f"one row for each {' and '.join(self.keys)}, got two of one")

    def merged(self, tables: Sequence[pa.Table]) -> pa.Table:
        """One row per key, in key order: a row journalled twice (two workers) is kept once."""
        table = pa.concat_tables([held(self.schema).empty_table(), *tables]).combine_chunks()
        place = combined([ranks(table[name]) for name in self.keys])
        # As a file is that was merged before.
        if np.all(place[1:] > place[:-1]):
            return table
        order = np.argsort(place, kind="stable")
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = place[order[1:]] != place[order[:-1]]
        return table.take(order[is_first]).combine_chunks()

    def _check_range(self, name: str, column: pa.ChunkedArray) -> None:
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        if not pa.types.is_floating(column.type) and not pa.types.is_integer(column.type):
            return
        if not pc.all(pc.is_finite(column), min_count=0).as_py():
            raise Damaged(f"finite values of {name}, got others")
        least, greatest = self.ranges.get(name, (-inf, inf))
        found = pc.min_max(column).as_py()
        # Of no values at all both are None.
        for value in (found["min"], found["max"]):
            if value is not None and not least <= value <= greatest:
                raise Damaged(f"values of {name} from {least:g} to {greatest:g}, got {value:g}")


def _check_layers(layers: np.ndarray, codes: Mapping[str, np.ndarray]) -> None:
    """Every sample has each layer once, and all have as many."""
    group = combined(list(codes.values()))
    rows_of = np.bincount(group)
    depth = rows_of[group]
    if layers.min() < 0 or np.any(layers >= depth):
        raise Damaged(f"layers from 0 on without a gap, got layer {layers.max()} of {depth.max()}")
    # The place of each row where rows are sorted: as many places as rows, so none may be taken.
    places = (np.cumsum(rows_of) - rows_of)[group] + layers
    if np.bincount(places).max() > 1:
        raise Damaged("each layer of a sample once, got one twice and another not at all")
    kinds = combined([code for name, code in codes.items() if name != "sample"] or [layers * 0])
    # Of a group all rows are of one kind.
    kind_of = np.zeros(len(rows_of), dtype=np.int64)
    kind_of[group] = kinds
    for kind in range(kinds.max() + 1):
        depths = rows_of[kind_of == kind]
        if depths.min() < depths.max():
            raise Damaged(f"as many layers for every sample, got {depths.min()} and {depths.max()}")


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{one.name} ({one.type})" for one in schema)

"""What the numbers of a run's tables may be: a table that holds others is refused where it is read.

No comparison says anything of a number that is none: NaN differs from nothing by any tolerance.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmflow_bench.errors import StoreError
from mmflow_bench.runs.folder import ANSWERS, LENS, MECHANISMS, PIECES, REMOVAL, SAMPLES, SEMANTICS

_ROUNDING = 1e-5
"""What single precision, in which baselines are kept, adds to a number that lies on an end."""


class Range(NamedTuple):
    """The numbers that a column may hold, ends included."""

    low: float
    high: float
    words: str
    is_optional: bool = False
    """Whether a row may be without; other programs write NaN for that."""


_SIMILARITY = Range(0.0, 1.0, "a similarity from 0 to 1")
_PROBABILITY = Range(0.0, 1.0, "a probability from 0 to 1")
# No answer is likeliest with less than the share of one token in a vocabulary of a billion.
_CHANGE = Range(-1.0, 1e9, "a relative change from -1 to a billion")
_LAYER = Range(1, 10_000, "a layer from 1 to 10000")
_AMOUNT = Range(0, inf, "a number of at least 0")
_NUMBER = Range(-inf, inf, "a finite number", is_optional=True)
_SOME = "a probability of more than 0, which can change,"
_MOVED = "a change to a probability from 0 to 1"

RANGES: Mapping[str, Mapping[str, Range]] = {
    SAMPLES: {"base_probability": _PROBABILITY, "relative_change": _CHANGE},
    PIECES: {"base_probability": _PROBABILITY, "relative_change": _CHANGE},
    LENS: {"probability": _PROBABILITY},
    SEMANTICS: dict.fromkeys(("similarity", "position_similarity"), _SIMILARITY),
    REMOVAL: {"probability": _PROBABILITY}
    | {"first_layer": _LAYER, "operations": _AMOUNT, "cache_bytes": _AMOUNT},
    ANSWERS: {"base_probability": _PROBABILITY},
    MECHANISMS: dict.fromkeys(("estimate", "low", "high", "curve"), _NUMBER)
    | {"p_value": _PROBABILITY._replace(is_optional=True)},
}
"""Table -> column -> its range; of a column of lists, that of every item."""


def refuse_out_of_range(table: pa.Table, path: Path) -> None:
    """Refuse a table with a number that nothing can have measured.

    Args:
        table: As it was read.
        path: Of its file, whose name says which table it is.

    Raises:
        StoreError: A number is missing, NaN, infinite or out of its range; file, column and row
            are named.
        pa.ArrowException: A column holds something else than numbers.
    """
    ranges = RANGES.get(path.name, {})
    for name in ranges.keys() & set(table.column_names):
        column = table[name].combine_chunks()
        values = _numbers(column)
        low, high, words, is_optional = ranges[name]
        # Written so that NaN is out of every range.
        is_right = np.isfinite(values) & (values >= low - _ROUNDING) & (values <= high + _ROUNDING)
        is_right |= is_optional & np.isnan(values)
        _refuse_first(~is_right, column, values, words, name, path)
        if column.null_count and not is_optional:
            row = column.is_null().index(True).as_py()
            raise _refusal(words, "nothing", name, row, path)
        if pa.types.is_list(column.type) and not is_optional:
            _refuse_lengths(column, name, path)
    if (
        len(table)
        and path.name == SAMPLES
        and {"base_probability", "relative_change"} <= set(table.column_names)
    ):
        clean, moved = (
            table[name].combine_chunks() for name in ("base_probability", "relative_change")
        )
        base, change = _numbers(clean), _numbers(moved)
        _refuse_first(base <= 0, clean, base, _SOME, "base_probability", path)
        # All curves are as long as each other by now.
        found = (1 + change).reshape(len(base), -1) * base[:, None]
        is_beyond = (found > 1 + _ROUNDING).ravel()
        _refuse_first(is_beyond, moved, change, _MOVED, "relative_change", path)


def _refuse_lengths(curves: pa.Array, name: str, path: Path) -> None:
    """Refuse curves of no layer, or of other layers than the first: all are of one decoder."""
    lengths = pc.list_value_length(curves).to_numpy()
    if len(lengths) and (is_wrong := (lengths != lengths[0]) | (lengths == 0)).any():
        row = int(np.argmax(is_wrong))
        expected = f"a curve of {lengths[0] or 'some'} layers"
        raise _refusal(expected, f"{lengths[row]} numbers", name, row, path)


def _numbers(column: pa.Array) -> np.ndarray:
    """The numbers of a column; of a list, every item, a null as NaN."""
    is_list = pa.types.is_list(column.type)
    items = pc.list_flatten(column) if is_list else column.drop_null()
    numbers: np.ndarray = pc.cast(items, pa.float64()).to_numpy(zero_copy_only=False)
    return numbers


def _row(column: pa.Array, number: int) -> int:
    """The row that a number of a column stands in."""
    if pa.types.is_list(column.type):
        return int(pc.list_parent_indices(column)[number].as_py())
    return int(np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))[number])


def _refuse_first(
    is_wrong: np.ndarray,
    column: pa.Array,
    values: np.ndarray,
    words: str,
    name: str,
    path: Path,
) -> None:
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        raise _refusal(words, f"{values[first]:.6g}", name, _row(column, first), path)


def _refusal(words: str, got: str, column: str, row: int, path: Path) -> StoreError:
    return StoreError(
        f"{words} in {path.name}, got {got} (column {column}, row {row}, {path}); the file is "
        "damaged, or of a checkpoint whose numbers overflow: run again"
    )

"""Text by number says what text says."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmflow_bench.store.columns import by_number, combined, held, plain, ranks


def chunked(*chunks: list[object], kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind)


@pytest.mark.parametrize(
    "values",
    [
        ["b", "a", "b", "c", "a"],
        ["é", "z", "", "Z", "é"],
        [],
        [5, 3, 5, 4],
        [-(2**63), 2**63 - 1, 0, 0],
        [0.5, -1.0, 0.5],
        [True, False, True],
    ],
)
def test_ranks_are_in_the_order_of_the_values(values: list[object]) -> None:
    found = ranks(chunked(values[:2], values[2:], kind=pa.array(values).type))
    assert list(found) == [sorted(set(values)).index(one) for one in values]


def test_dictionaries_of_several_chunks_are_one() -> None:
    chunks = [pa.array(part).dictionary_encode() for part in (["b", "c"], ["a", "b"])]
    assert list(ranks(pa.chunked_array(chunks))) == [1, 2, 0, 1]


def test_combinations_are_in_the_order_of_their_parts() -> None:
    draw = np.random.default_rng(0)
    parts = [draw.integers(0, most, 200) for most in (7, 3, 50)]
    parts = [np.unique(part, return_inverse=True)[1] for part in parts]
    rows = list(zip(*(part.tolist() for part in parts), strict=True))
    assert list(combined(parts)) == [sorted(set(rows)).index(row) for row in rows]


def test_text_is_numbered_as_it_comes_however_it_lies() -> None:
    values = ["b", None, "a", "b", "c"]
    expected = pa.array(values).dictionary_encode()
    dictionary = pa.array(["unused", "c", "b", "a"])
    places = pa.array([2, None, 3, 2, 1], pa.int32())
    found = by_number(pa.DictionaryArray.from_arrays(places, dictionary))
    assert found.dictionary.to_pylist() == expected.dictionary.to_pylist() == ["b", "a", "c"]
    assert found.indices.to_pylist() == expected.indices.to_pylist()


def test_text_that_is_twice_in_a_dictionary_has_one_number() -> None:
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a"] * 3))
    assert list(ranks(pa.chunked_array([twice]))) == [0, 0, 0]


def test_only_nothing_has_no_number() -> None:
    nothing = pa.array([None, None], pa.string()).dictionary_encode()
    assert by_number(nothing).to_pylist() == [None, None]
    assert len(by_number(nothing).dictionary) == 0


def test_schemas_go_there_and_back() -> None:
    schema = pa.schema([pa.field("a", pa.string(), nullable=False), ("b", pa.list_(pa.string()))])
    table = pa.table({"a": ["x", "x"], "b": [["y"], None]}, schema=schema)
    there = table.cast(held(schema))
    assert pa.types.is_dictionary(there.schema.field("a").type)
    assert plain(there).equals(table)
    assert plain(there).schema == schema

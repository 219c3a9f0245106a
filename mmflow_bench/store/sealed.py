"""Files that carry a seal: a hash of their content, their name and the store that they are of.

A flipped bit, a file of another edge or of another checkpoint under this name, rows that were
edited: whatever it was, the seal does not fit. It stands in the file's own metadata, so that a file
and its seal are written at once, and tells the values and not the bytes, which another version of
Parquet may write otherwise.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmflow_bench.files import NotAFile, replace_file, whole_file
from mmflow_bench.store.columns import by_number, plain
from mmflow_bench.store.shards import Damaged, Shard

SEAL = "mmflow-seal"
"""Key in the metadata of a Parquet file, and in a JSON file."""
_WORTH_THREADS = 2**20
"""Bytes of a file from which threads save more time than it takes to wake them."""


def identity_digest(identity: Mapping[str, object]) -> str:
    """Sha256 of the canonical JSON of an identity, as 64 hex digits."""
    return hashlib.sha256(_canonical(identity)).hexdigest()


def write_rows(path: Path, table: pa.Table, *, name: str, owner: str) -> None:
    """Write the rows of a shard `name` in the store whose identity has the digest `owner`.

    Equal rows in equal order give equal bytes.

    Raises:
        OSError: They cannot be written, or do not read as they were written.
    """
    table, sink = plain(table).replace_schema_metadata(), pa.BufferOutputStream()
    # Types are those of the columns: what Arrow says of them beside that might be damaged.
    kept = {"store_schema": False, "write_page_checksum": True}
    with pq.ParquetWriter(sink, table.schema, **kept) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({SEAL: _seal_of(table, name, owner)})
    replace_file(path, sink.getvalue().to_pybytes())


def read_rows(path: Path, shard: Shard, *, owner: str, is_sealed: bool) -> pa.Table:
    """The rows of one file, as they were written under this name in this store.

    Args:
        path: The file.
        shard: What it must hold.
        owner: Digest of the identity of the store.
        is_sealed: Whether a file without a seal is damaged, and not an older one.

    Raises:
        Damaged: It holds something else.
        OSError: The system cannot read it.
    """
    found, seal = _parsed(path)
    table = shard.typed(found)
    _check_seal(seal, _seal_of(table, shard.name, owner), is_sealed=is_sealed)
    shard.check(table)
    return table


def seal_older(path: Path, *, name: str, owner: str) -> None:
    """Give a seal to a file that was written without one; what cannot be read stays as it is.

    Raises:
        OSError: It cannot be read or written.
    """
    try:
        table, seal = _parsed(path)
    except Damaged:
        return
    if not seal:
        write_rows(path, table, name=name, owner=owner)


def write_record(path: Path, record: Mapping[str, object], *, owner: str) -> None:
    """Write a record as JSON with a seal.

    Raises:
        OSError: It cannot be written, or does not read as it was written.
    """
    sealed = {**record, SEAL: identity_digest({"owner": owner, "record": record})}
    replace_file(path, json.dumps(sealed, indent=1, sort_keys=True))


def read_record(path: Path, *, owner: str, is_sealed: bool) -> dict[str, object]:
    """The record of a JSON file, without its seal; parameters are those of `read_rows`.

    Raises:
        Damaged: It holds something else than what was written.
        OSError: The system cannot read it.
    """
    record = parsed_record(path)
    seal = str(record.pop(SEAL, ""))
    expected = identity_digest({"owner": owner, "record": record})
    _check_seal(seal, expected, is_sealed=is_sealed)
    return record


def parsed_record(path: Path) -> dict[str, object]:
    """The object of a JSON file, seal and all.

    Raises:
        Damaged: It is no such file.
        OSError: The system cannot read it.
    """
    try:
        record = json.loads(_bytes_of(path))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"a JSON object, got {_first_line(error)}") from error
    if not isinstance(record, dict):
        raise Damaged(f"a JSON object, got {type(record).__name__}")
    return record


def _parsed(path: Path) -> tuple[pa.Table, str]:
    """What a Parquet file holds, and its seal; no text where it has none."""
    data = _bytes_of(path)
    try:
        schema = pq.read_schema(pa.BufferReader(data))
        texts = [one.name for one in schema if pa.types.is_string(one.type)]
        file = pq.ParquetFile(
            pa.BufferReader(data), page_checksum_verification=True, read_dictionary=texts
        )
        table = file.read(use_threads=len(data) > _WORTH_THREADS)
        # Offsets and text that do not fit would only be noticed where they are used.
        table.validate(full=True)
        seal = (file.metadata.metadata or {}).get(SEAL.encode(), b"").decode()
    except Exception as error:  # Of any kind: these are arbitrary bytes to the parser.
        raise Damaged(f"a Parquet file, got {_first_line(error)}") from error
    return table.replace_schema_metadata(), seal


def _bytes_of(path: Path) -> bytes:
    try:
        return whole_file(path)
    except NotAFile as error:
        raise Damaged(f"a file, got {error.strerror}") from error


def _check_seal(found: str, expected: str, *, is_sealed: bool) -> None:
    if not found and is_sealed:
        raise Damaged("a file with a seal, as all of this store have one, got none")
    if found and found != expected:
        raise Damaged("what was written here under this name, got other content")


def _seal_of(table: pa.Table, name: str, owner: str) -> str:
    digest = hashlib.sha256(_canonical([owner, name, table.num_rows, table.column_names]))
    for column in table.columns:
        _feed(digest, column)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, column: pa.ChunkedArray) -> None:
    """Add the values of a column to a hash, however they lie in memory."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    array = by_number(array)
    if pa.types.is_dictionary(array.type):
        digest.update(_canonical(array.dictionary.to_pylist()))
        array = array.indices
    if pa.types.is_primitive(array.type):
        numbers = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
        digest.update(np.ascontiguousarray(numbers.to_numpy(zero_copy_only=False)).tobytes())
    else:
        digest.update(_canonical(array.to_pylist()))


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

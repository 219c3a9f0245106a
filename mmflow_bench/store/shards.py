"""The measurement store: what was measured once is never measured again, nor lost.

A `Store` holds everything measured under one identity (checkpoint, processor, prompt, dtype,
attention, versions). A measurement is appended to the *journal* the moment its sample is finished,
one small Parquet file under a temporary name and then `os.replace`, so a killed run loses at most
the sample it was working on. `compact` merges the journal into one sorted Parquet file for each
`Shard`, which makes the files of a resumed run byte-identical to those of a run that was never
interrupted. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file, replacing
from mmflow_bench.store.held import Held, file_state


@dataclass(frozen=True, slots=True)
class Shard:
    """One table of a store: how its files are named, and what its rows hold.

    Two shards of one name are one; what kinds of measurement there are is not known here.
    """

    name: str
    """Of the file, and of what could not be measured; written from a record and never parsed."""
    schema: pa.Schema = field(compare=False, repr=False)
    keys: tuple[str, ...] = field(default=("sample",), compare=False, repr=False)
    """Columns that tell its rows apart, `sample` first: the content hash of a sample."""


Row = Mapping[str, object]
Rows = Mapping[Shard, Sequence[Row]]
"""What was measured of one sample."""

_ATTEMPTS = 100
"""Times that a shard is read anew while others merge into it."""
_NAME_BYTES = 150
"""About what one content hash takes in a set."""
Value = TypeVar("Value")


def identity_digest(identity: Mapping[str, object]) -> str:
    """Sha256 of the canonical JSON of an identity, as 64 hex digits."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Store:
    """Shards and journal of one identity, in a folder of its own under `root`."""

    def __init__(self, root: Path, identity: Mapping[str, object]) -> None:
        self.folder = root / identity_digest(identity)[:24]
        self._held = Held()
        with _storing(self.folder):
            (self.folder / "journal").mkdir(parents=True, exist_ok=True)
            if not (self.folder / "identity.json").exists():
                text = json.dumps(identity, indent=1, sort_keys=True)
                replace_file(self.folder / "identity.json", text)

    def facts(self) -> dict[str, object]:
        """What was learned of the checkpoint when it was last loaded, such as its depth."""
        path = self.folder / "facts.json"
        if not path.exists():
            return {}

        def facts() -> dict[str, object]:
            found: dict[str, object] = json.loads(path.read_text())
            return found

        return dict(self._held.get("facts", file_state([path]), facts, lambda _: 0))

    def remember(self, facts: Mapping[str, object]) -> None:
        """Keep facts of the checkpoint so that a later run need not load it."""
        with _storing(self.folder):
            replace_file(self.folder / "facts.json", json.dumps(facts, indent=1, sort_keys=True))

    def append(self, measured: Rows, *, sample: str) -> None:
        """Journal everything measured of one sample, shard by shard, in the order given.

        Raises:
            StoreError: The disk is full or the folder is not writable.
        """
        with _storing(self.folder):
            for shard, rows in measured.items():
                table = pa.Table.from_pylist(list(rows), schema=shard.schema)
                content = identity_digest({"rows": list(rows)})[:8]
                path = self.folder / "journal" / f"{shard.name}@{sample[:32]}-{content}.parquet"
                with replacing(path) as temporary:
                    pq.write_table(table, temporary)

    def read(self, shard: Shard, samples: Iterable[str] | None = None) -> pa.Table:
        """All rows of a shard, journal included, of `samples` or of all; sorted, none twice."""
        nothing = shard.schema.empty_table()

        def rows(files: Sequence[Path]) -> pa.Table:
            return _sorted_unique(pa.concat_tables([nothing, *map(_read_rows, files)]), shard.keys)

        table = self._look(shard, "rows", rows, lambda found: found.nbytes)
        if samples is None:
            return table
        wanted = pa.array(sorted(set(samples)), pa.string())
        return table.filter(pc.is_in(table["sample"], value_set=wanted)).combine_chunks()

    def finished(self, shard: Shard) -> frozenset[str]:
        """Content hashes of the samples that a shard already holds."""
        return self._look(shard, "samples", _samples_in, lambda found: _NAME_BYTES * len(found))

    def compact(self, shards: Iterable[Shard]) -> None:
        """Merge the journal of some shards into one sorted file each; safe to be killed anywhere.

        The journal of others stays for whoever measures them: reading looks at both.
        """
        with _storing(self.folder), FileLock(self.folder / "compact.lock"):
            for shard in shards:
                # Listed before it is merged: what others append meanwhile must not be deleted.
                journal = self._journal(shard)
                if journal:
                    with replacing(self.folder / f"{shard.name}.parquet") as temporary:
                        pq.write_table(self.read(shard), temporary)
                    for path in journal:
                        path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything measured under this identity."""
        with _storing(self.folder), FileLock(self.folder / "compact.lock"):
            for path in [*self.folder.glob("*.parquet"), *(self.folder / "journal").iterdir()]:
                path.unlink(missing_ok=True)

    def lock(self, name: str) -> FileLock:
        """A lock shared by every process that measures under this identity."""
        return FileLock(self.folder / f"{name}.lock")

    def _look(
        self,
        shard: Shard,
        what: str,
        read: Callable[[Sequence[Path]], Value],
        size: Callable[[Value], int],
    ) -> Value:
        for _ in range(_ATTEMPTS):
            # Another process may merge its journal at any time: its rows are in the shard then.
            with suppress(FileNotFoundError):
                files = self._files(shard)
                state = file_state(files)
                return self._held.get((shard, what), state, partial(read, files), size)
        raise StoreError(
            f"a store that is left alone for a moment, got files that vanished {_ATTEMPTS} times "
            f"while they were read ({self.folder}, {shard.name}); give every job a store of its "
            "own with --mmflow-cache"
        )

    def _files(self, shard: Shard) -> list[Path]:
        # The journal first: what is merged between the two looks is in the shard.
        journal = self._journal(shard)
        merged = self.folder / f"{shard.name}.parquet"
        return [merged, *journal] if merged.exists() else journal

    def _journal(self, shard: Shard) -> list[Path]:
        folder, begin = self.folder / "journal", f"{shard.name}@"
        names = [name for name in os.listdir(folder) if name.startswith(begin)]
        return [folder / name for name in sorted(names) if name.endswith(".parquet")]


def _read_rows(path: Path, columns: list[str] | None = None) -> pa.Table:
    """All rows of one file, or some columns of them."""
    # Opened once: `pq.read_table` of a path opens it again for the rows, and another process may
    # have put a longer or shorter file in its place by then.
    with path.open("rb") as file:
        return pq.ParquetFile(file).read(columns)


def _samples_in(files: Sequence[Path]) -> frozenset[str]:
    """Content hashes of the samples that have rows in `files`."""
    columns = (_read_rows(path, ["sample"])["sample"] for path in files)
    return frozenset(name for column in columns for name in column.unique().to_pylist())


def _sorted_unique(table: pa.Table, keys: Sequence[str]) -> pa.Table:
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


_storing = partial(
    refusing,
    StoreError,
    "a writable measurement store with free space",
    advice="point --mmflow-cache at another folder or switch it off with --mmflow-cache=off. What "
    "was measured before is kept.",
)

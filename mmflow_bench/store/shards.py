"""The measurement store: what was measured once is never measured again, nor lost.

A `Store` holds everything measured under one identity (checkpoint, processor, prompt, dtype,
attention, versions). A measurement is appended to the *journal* the moment its sample is finished,
one small Parquet file under a temporary name and then `os.replace`, so a killed run loses at most
the sample it was working on. `compact` merges the journal into one sorted Parquet shard for each
measurement (edge, method, window), which makes the shards of a resumed run byte-identical to those
of a run that was never interrupted. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from mmflow_bench.errors import StoreError
from mmflow_bench.store.held import Held, file_state
from mmflow_bench.store.rows import read_rows, samples_in, sorted_unique

Rows = Mapping[str, Sequence[Mapping[str, object]]]
"""What was measured of one sample: shard name -> rows."""

PATCHES = "patches"
"""The shard of the patches that show the objects asked about."""

SCHEMAS: Mapping[str, pa.Schema] = {
    "answers": pa.schema(
        {
            "sample": pa.string(),
            "prediction": pa.string(),
            "is_correct": pa.bool_(),
            "answer_token_id": pa.int64(),
            "base_probability": pa.float64(),
            "reference_token_id": pa.int64(),
            "reference_probability": pa.float64(),
            "noise": pa.float64(),
        }
    ),
    "unscored": pa.schema(
        {
            "sample": pa.string(),
            "scope": pa.string(),
            "reason": pa.string(),
            "message": pa.string(),
        }
    ),
    "sweep": pa.schema(
        {
            "sample": pa.string(),
            "layer": pa.int64(),
            "knockout_probability": pa.float64(),
            "reference_probability": pa.float64(),
        }
    ),
    "counterfactual": pa.schema(
        {
            "sample": pa.string(),
            "layer": pa.int64(),
            "knockout_probability": pa.float64(),
            "reference_probability": pa.float64(),
            "counterfactual_probability": pa.float64(),
            "is_flipped": pa.bool_(),
        }
    ),
    "lens": pa.schema(
        {
            "sample": pa.string(),
            "layer": pa.int64(),
            "probe": pa.string(),
            "variant": pa.string(),
            "probability": pa.float64(),
        }
    ),
    PATCHES: pa.schema(
        {
            "sample": pa.string(),
            "width": pa.int64(),
            "height": pa.int64(),
            "rows": pa.int64(),
            "columns": pa.int64(),
            "left": pa.float64(),
            "top": pa.float64(),
            "cell_width": pa.float64(),
            "cell_height": pa.float64(),
            "related": pa.list_(pa.int64()),
        }
    ),
}
"""Columns of each kind of shard; `sample` is the content hash of a sample."""


_ATTEMPTS = 100
"""Times that a shard is read anew while others merge into it."""
_NAME_BYTES = 150
"""About what one content hash takes in a set."""
Value = TypeVar("Value")


def identity_digest(identity: Mapping[str, object]) -> str:
    """Sha256 of the canonical JSON of an identity, as 64 hex digits."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def sweep_shard(edge: str, *, method: str, width: int) -> str:
    """Name of the shard that holds one edge, method and window width.

    It begins with the kind of its rows, a key of `SCHEMAS`.
    """
    kind = method if method in SCHEMAS else "sweep"
    return f"{kind}.{edge.replace('->', '-to-')}.{method}.w{width}"


def edge_of(shard: str) -> str:
    """The edge in the name of a shard.

    >>> edge_of(sweep_shard("image->last", method="masked", width=9))
    'image->last'
    """
    return shard.split(".")[1].replace("-to-", "->")


def method_of(shard: str) -> str:
    """The method in the name of a shard.

    >>> method_of(sweep_shard("image->last", method="masked", width=9))
    'masked'
    """
    return shard.split(".")[2]


def _kind(shard: str) -> str:
    return shard.split(".", 1)[0]


class Store:
    """Shards and journal of one identity, in a folder of its own under `root`."""

    def __init__(self, root: Path, identity: Mapping[str, object]) -> None:
        """Open the folder of `identity`, creating it where needed.

        Raises:
            StoreError: The folder cannot be made or written.
        """
        self.folder = root / identity_digest(identity)[:24]
        self._held = Held()
        with _storing(self.folder):
            (self.folder / "journal").mkdir(parents=True, exist_ok=True)
            if not (self.folder / "identity.json").exists():
                text = json.dumps(identity, indent=1, sort_keys=True)
                _replace(self.folder / "identity.json", text.encode())

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
            text = json.dumps(facts, indent=1, sort_keys=True)
            _replace(self.folder / "facts.json", text.encode())

    def append(
        self, measured: Mapping[str, Sequence[Mapping[str, object]]], *, sample: str
    ) -> None:
        """Journal everything measured of one sample: shard name -> rows.

        Raises:
            StoreError: The disk is full or the folder is not writable.
        """
        with _storing(self.folder):
            for shard, rows in measured.items():
                table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[_kind(shard)])
                content = identity_digest({"rows": list(rows)})[:8]
                path = self.folder / "journal" / f"{shard}@{sample[:32]}-{content}.parquet"
                temporary = path.with_suffix(f".{os.getpid()}.tmp")
                pq.write_table(table, temporary)
                os.replace(temporary, path)

    def read(self, shard: str, samples: Iterable[str] | None = None) -> pa.Table:
        """All rows of a shard, journal included, of `samples` or of all; sorted, none twice."""
        nothing = SCHEMAS[_kind(shard)].empty_table()

        def rows(files: Sequence[Path]) -> pa.Table:
            return sorted_unique(pa.concat_tables([nothing, *map(read_rows, files)]))

        table = self._look(shard, "rows", rows, lambda found: found.nbytes)
        if samples is None:
            return table
        wanted = pa.array(sorted(set(samples)), pa.string())
        return table.filter(pc.is_in(table["sample"], value_set=wanted)).combine_chunks()

    def finished(self, shard: str) -> frozenset[str]:
        """Content hashes of the samples that a shard already holds."""
        return self._look(shard, "samples", samples_in, lambda found: _NAME_BYTES * len(found))

    def compact(self) -> None:
        """Merge the journal into one sorted file for each shard; safe to be killed at any point."""
        with _storing(self.folder), FileLock(self.folder / "compact.lock"):
            journal = sorted((self.folder / "journal").glob("*.parquet"))
            for shard in sorted({path.name.split("@")[0] for path in journal}):
                merged = self.read(shard)
                temporary = self.folder / f"{shard}.{os.getpid()}.tmp"
                pq.write_table(merged, temporary)
                os.replace(temporary, self.folder / f"{shard}.parquet")
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
        shard: str,
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
            f"while they were read ({self.folder}, {shard}); give every job a store of its own "
            "with --mmflow-cache"
        )

    def _files(self, shard: str) -> list[Path]:
        # The journal first: what is merged between the two looks is in the shard.
        journal = self.folder / "journal"
        names = [name for name in os.listdir(journal) if name.startswith(f"{shard}@")]
        found = [journal / name for name in sorted(names) if name.endswith(".parquet")]
        merged = self.folder / f"{shard}.parquet"
        return [merged, *found] if merged.exists() else found


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


@contextmanager
def _storing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"a writable measurement store with free space, got {error.strerror or error} "
            f"({folder}); point --mmflow-cache at another folder or switch it off with "
            "--mmflow-cache=off. What was measured before is kept."
        ) from error

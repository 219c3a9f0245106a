"""The measurement store: what was measured once is never measured again, nor lost.

A `Store` holds everything measured under one identity (checkpoint, processor, prompt, dtype,
attention, versions). A measurement is appended to the *journal* the moment its sample is finished,
one small Parquet file under a temporary name and then `os.replace`, so a killed run loses at most
the sample it was working on. `compact` merges the journal into one sorted Parquet file for each
`Shard`, which makes the files of a resumed run byte-identical to those of a run that was never
interrupted. Nothing is pickled, and nothing is read whose seal does not fit (`sealed.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file, try_writing
from mmflow_bench.store.damage import SetAside
from mmflow_bench.store.held import Held, file_state
from mmflow_bench.store.locking import alone
from mmflow_bench.store.opening import COMPACT, FACTS, JOURNAL, is_foreign, make_store
from mmflow_bench.store.sealed import (
    identity_digest,
    read_record,
    read_rows,
    write_record,
    write_rows,
)
from mmflow_bench.store.shards import Damaged, Shard

Row = Mapping[str, object]
Rows = Mapping[Shard, Sequence[Row]]
"""What was measured of one sample."""

_ATTEMPTS = 100
"""Times that a shard is read anew while others merge into it."""
_NAME_BYTES = 150
"""About what one content hash takes in a set."""
Value = TypeVar("Value")


class Store:
    """Shards and journal of one identity, in a folder of its own under `root`."""

    def __init__(self, root: Path, identity: Mapping[str, object]) -> None:
        """Open the store, or make it.

        Raises:
            StoreError: There is none, and none can be made.
        """
        self._owner = identity_digest(identity)
        self.folder = root / self._owner[:24]
        self._held = Held()
        # Apart, so that large tables do not take the place of what is asked most often.
        self._finished = Held()
        self._alike: frozenset[str] = frozenset()
        self._set_aside = SetAside(self.folder)
        with reading(self.folder):
            is_other = is_foreign(self.folder, identity, self._set_aside)
        with storing(self.folder):
            self._is_sealed = make_store(
                self.folder, identity, self._set_aside, is_foreign=is_other
            )

    def require_writable(self) -> None:
        """Find out whether anything can be kept, before it is measured.

        Raises:
            StoreError: Nothing can.
        """
        with storing(self.folder):
            try_writing(self.folder / JOURNAL)

    def facts(
        self, fit: Callable[[Mapping[str, object]], bool] = lambda _: True
    ) -> dict[str, object]:
        """What was learned of the checkpoint when it was last loaded, such as its depth.

        Args:
            fit: Whether facts are of the right types; others are damaged.
        """
        path = self.folder / FACTS

        def facts() -> dict[str, object]:
            try:
                found = read_record(path, owner=self._owner, is_sealed=self._is_sealed)
                if not fit(found):
                    raise Damaged("facts of a checkpoint, got values of other types")
            except Damaged as why:
                self._set_aside(path, state, why)
                return {}
            return found

        with suppress(FileNotFoundError), reading(path):
            state = file_state([path])
            return dict(self._held.get("facts", state, facts, lambda _: 0))
        return {}

    def remember(self, facts: Mapping[str, object]) -> None:
        """Keep facts of the checkpoint so that a later run need not load it."""
        path = self.folder / FACTS
        with storing(path):
            write_record(path, facts, owner=self._owner)

    def append(self, measured: Rows, *, sample: str) -> None:
        """Journal everything measured of one sample, shard by shard, in the order given.

        Raises:
            StoreError: The disk is full or the folder is not writable, or a value cannot be.
        """
        for shard, rows in measured.items():
            content = identity_digest({"rows": list(rows)})[:8]
            name = f"{shard.name}@{sample[:32]}-{content}.parquet"
            self._write(self.folder / JOURNAL / name, shard, shard.table(rows))

    def read(self, shard: Shard, samples: Iterable[str] | None = None) -> pa.Table:
        """All rows of a shard, journal included, of `samples` or of all; sorted, none twice.

        Text is by number (`columns`).
        """
        table = self._table(shard)
        if samples is None:
            return table
        names = table["sample"].combine_chunks()
        wanted = pa.array(set(samples), pa.string())
        is_wanted = pc.is_in(names.dictionary, value_set=wanted)
        return table.filter(is_wanted.take(names.indices)).combine_chunks()

    def finished(self, shard: Shard) -> frozenset[str]:
        """Content hashes of the samples that a shard already holds."""

        def samples(_: object) -> frozenset[str]:
            found = frozenset(self.read(shard)["sample"].unique().to_pylist())
            return self._alike if found == self._alike else found

        def size(found: frozenset[str]) -> int:
            # Most shards hold the same samples: one set of names stands for all of them.
            is_new, self._alike = found is not self._alike, found
            return _NAME_BYTES * len(found) if is_new else 0

        return self._look(shard, self._finished, samples, size)

    def has_lost(self, shard: Shard) -> bool:
        """Whether a file of a shard was damaged at any time, whatever was measured since."""
        return self._set_aside.has(shard.name)

    def compact(self, shards: Iterable[Shard]) -> None:
        """Merge the journal of some shards into one sorted file each; safe to be killed anywhere.

        The journal of others stays for whoever measures them: reading looks at both.
        """
        with self._alone(self.folder / COMPACT):
            # Listed before it is merged: what others append meanwhile must not be deleted.
            journals = {shard: self._journal(shard) for shard in shards}
            self._merge({shard: journal for shard, journal in journals.items() if journal})

    def catch_up(self) -> None:
        """Look for what others have measured: here nothing, for all of it is in this folder."""

    def share(self, shards: Iterable[Shard]) -> None:
        """Hand on what was measured of some shards: here to nobody."""

    def _merge(self, journals: Mapping[Shard, Sequence[Path]]) -> None:
        """Merge files of the journal into the file of each shard, then delete them."""
        for shard, journal in journals.items():
            merged = self.folder / f"{shard.name}.parquet"
            rows = self._table(shard)
            for path in filter(self._set_aside.is_ignored, [merged, *journal]):
                raise StoreError(
                    "a store whose damaged files can be moved out of the way, got one that cannot "
                    f"({path}); move it, or point --mmflow-cache at another folder"
                )
            self._write(merged, shard, rows)
            self._delete(journal)

    def clear(self) -> None:
        """Forget everything measured under this identity."""
        with self._alone(self.folder / COMPACT), storing(self.folder):
            for path in [*self.folder.glob("*.parquet"), *(self.folder / JOURNAL).iterdir()]:
                if not path.is_dir():
                    path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Held by one process at a time, of all that measure under this identity.

        Raises:
            StoreError: The store cannot be written.
        """
        # Names of tasks are the user's: not all of them can be names of files.
        path = self.folder / f"{identity_digest({'lock': name})[:16]}.lock"
        with self._alone(path):
            yield

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        with ExitStack() as held:
            with storing(path):
                held.enter_context(alone(path))
            yield

    def _write(self, path: Path, shard: Shard, table: pa.Table) -> None:
        with storing(path):
            write_rows(path, table, name=shard.name, owner=self._owner)

    def _keep(self, path: Path, content: bytes) -> None:
        with storing(path):
            replace_file(path, content)

    def _delete(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with storing(path):
                path.unlink(missing_ok=True)

    def _table(self, shard: Shard) -> pa.Table:
        rows = partial(self._rows, shard)
        return self._look(shard, self._held, rows, lambda found: found.nbytes)

    def _rows(self, shard: Shard, files: Sequence[Path]) -> pa.Table:
        """Rows of the files that hold what was written; others are set aside."""
        tables = []
        for path in files:
            with reading(path):
                state = file_state([path])
                try:
                    rows = read_rows(path, shard, owner=self._owner, is_sealed=self._is_sealed)
                except Damaged as why:
                    self._set_aside(path, state, why)
                else:
                    tables.append(rows)
        return shard.merged(tables)

    def _look(
        self,
        shard: Shard,
        held: Held,
        read: Callable[[Sequence[Path]], Value],
        size: Callable[[Value], int],
    ) -> Value:
        for _ in range(_ATTEMPTS):
            # Another process may merge its journal at any time: its rows are in the shard then.
            with suppress(FileNotFoundError), reading(self.folder):
                files = self._files(shard)
                state = file_state(files)
                return held.get(shard, state, partial(read, files), size)
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
        folder, begin = self.folder / JOURNAL, f"{shard.name}@"
        names = os.listdir(folder) if folder.is_dir() else []
        chosen = sorted(name for name in names if name.startswith(begin))
        return [folder / name for name in chosen if name.endswith(".parquet")]


storing = partial(
    refusing,
    StoreError,
    "a writable measurement store with free space",
    advice="point --mmflow-cache at another folder or switch it off with --mmflow-cache=off. What "
    "was measured before is kept.",
)
reading = partial(
    refusing,
    StoreError,
    "a measurement store that can be read",
    advice="run again once it can, or point --mmflow-cache at another folder",
    # What is gone is for whoever reads to look for again.
    but=FileNotFoundError,
)

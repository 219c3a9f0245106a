"""A store that many machines share: a folder as any other, and packs of it at a URL.

A run fetches the packs that it has not seen into the folder, where they lie in the journal like
everything that was just measured, and goes on as if it was alone. What it measures itself is merged
into a pack, which stays in the outbox until it was uploaded. Packs are only ever added, under names
that tell their content: nobody has to be waited for, and what two have measured is there twice and
read once (docs/decisions/071).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from mmflow_bench.errors import StoreError
from mmflow_bench.files import whole_file
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.held import file_state
from mmflow_bench.store.objects import Objects
from mmflow_bench.store.opening import FACTS, IDENTITY, JOURNAL
from mmflow_bench.store.packs import is_pack, packed, unpacked
from mmflow_bench.store.sealed import read_record, write_record
from mmflow_bench.store.shards import Damaged, Shard
from mmflow_bench.store.store import Rows, Store, reading, storing

SECONDS_BETWEEN_PACKS = 60.0
"""While samples are measured: what a machine that vanishes takes along."""
_LONGEST_WAIT = 16 * SECONDS_BETWEEN_PACKS
"""Between attempts to reach a place that refuses."""
_OUTBOX = "outbox"
_KNOWN = "packs.json"
_FETCH = "fetch.lock"
_AT_ONCE = 256
"""Packs that are noted as fetched together."""
_MANY = 16
"""Fetched files of one shard that are read again and again before they are merged."""
_FETCHED = ".pack.parquet"
_DAMAGED = "damaged"
logger = logging.getLogger(__name__)


def store_at(place: Path | StoreAddress, identity: Mapping[str, object]) -> Store:
    """The store of an identity in a folder or at a URL.

    Raises:
        StoreError: There is none, and none can be made; or what is at the URL cannot be fetched.
    """
    if isinstance(place, StoreAddress):
        return SharedStore(place, identity)
    return Store(place, identity)


class SharedStore(Store):
    """Shards and journal of one identity in a folder, in front of its packs at a URL."""

    def __init__(self, address: StoreAddress, identity: Mapping[str, object]) -> None:
        """Open the folder and fetch what it lacks.

        Raises:
            StoreError: The folder cannot be written, or the URL not be read.
        """
        super().__init__(address.folder, identity)
        self._objects = Objects(f"{address.url}/{self.folder.name}")
        self._outbox = self.folder / _OUTBOX
        self._measured: dict[Shard, None] = {}
        self._has_lost = False
        self._ignored: set[str] = set()
        self._wait, self._due = SECONDS_BETWEEN_PACKS, time.monotonic() + SECONDS_BETWEEN_PACKS
        self._is_refused = False
        try:
            self._fetch()
        except StoreError as error:
            raise StoreError(
                f"{error}; run again once it can be reached. What is here already is read with "
                f"--from-cache --mmflow-cache={address.folder}"
            ) from error

    def require_writable(self) -> None:
        """Find out whether anything can be kept; where it cannot be shared, only say so.

        Raises:
            StoreError: Nothing can be kept here.
        """
        super().require_writable()
        try:
            self._objects.put(IDENTITY, whole_file(self.folder / IDENTITY))
        except StoreError as error:
            self._put_off(error)

    def has_lost(self, shard: Shard) -> bool:
        """Whether a file or a pack with rows of a shard may have been damaged at any time."""
        return self._has_lost or super().has_lost(shard)

    def append(self, measured: Rows, *, sample: str) -> None:
        """Journal what was measured of one sample; from time to time share what has come together.

        Raises:
            StoreError: It cannot be kept here.
        """
        super().append(measured, sample=sample)
        self._measured.update(dict.fromkeys(measured))
        if time.monotonic() >= self._due:
            self.share(tuple(self._measured))

    def read(self, shard: Shard, samples: Iterable[str] | None = None) -> pa.Table:
        """As of any store; many fetched files are merged first, for they are asked again."""
        if sum(map(_is_fetched, self._journal(shard))) > _MANY:
            self.compact([shard])
        return super().read(shard, samples)

    def catch_up(self) -> None:
        """Fetch what others have measured; where that is refused, it may be measured twice."""
        try:
            self._fetch()
        except StoreError as error:
            logger.warning("what others have measured since cannot be fetched: expected %s", error)

    def share(self, shards: Iterable[Shard]) -> None:
        """Upload what was measured here of some shards, and what earlier runs could not upload.

        What is refused stays in the outbox for the next attempt, of this run or of another.
        """
        shards = tuple(shards)
        try:
            if any(not _is_fetched(path) for shard in shards for path in self._journal(shard)):
                self.compact(shards)
            # A place that has just refused is left alone for a while: measuring must not wait.
            if self._is_refused and time.monotonic() < self._due:
                return
            self._upload()
        except StoreError as error:
            self._put_off(error)
            return
        if self._is_refused:
            logger.warning("what could not be uploaded is uploaded now (%s)", self._objects.url)
        self._is_refused, self._wait = False, SECONDS_BETWEEN_PACKS
        self._due = time.monotonic() + self._wait

    def _put_off(self, error: StoreError) -> None:
        """Try again later, each time a longer while; say so once."""
        if not self._is_refused:
            logger.warning(
                "nothing can be uploaded: expected %s; what is measured stays in %s until a run "
                "here can upload it",
                *(error, self.folder),
            )
        self._is_refused, self._due = True, time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _merge(self, journals: Mapping[Shard, Sequence[Path]]) -> None:
        """Pack what was measured here before it is merged with what others have."""
        own = {
            shard: self._one_file(shard, [path for path in journal if not _is_fetched(path)])
            for shard, journal in journals.items()
        }
        files = {f"{shard.name}.parquet": path for shard, path in own.items() if path}
        if files:
            if (self.folder / FACTS).is_file():
                files[FACTS] = self.folder / FACTS
            name, data = packed({name: _content(path) for name, path in files.items()})
            self._keep(self._outbox / name, data)
        # With the one file of each shard, so that nothing stays that is packed.
        merged = {
            shard: [*journal, *([path] if (path := own[shard]) else [])]
            for shard, journal in journals.items()
        }
        super()._merge(merged)

    def _one_file(self, shard: Shard, journal: Sequence[Path]) -> Path | None:
        """The rows of files of the journal as one of them, whose name tells theirs."""
        rows = self._rows(shard, journal)
        if not rows.num_rows:
            return None
        names = hashlib.sha256("\n".join(path.name for path in journal).encode()).hexdigest()
        path = self.folder / JOURNAL / f"{shard.name}@{names[:32]}.parquet"
        self._write(path, shard, rows)
        # A damaged one that cannot be moved away stays, and is in the way of merging.
        is_kept = self._set_aside.is_ignored
        self._delete(one for one in journal if one != path and not is_kept(one))
        return path

    def _fetch(self) -> None:
        # Of the processes that share the folder one fetches, and the others find it there.
        with self._alone(self.folder / _FETCH):
            there = self._objects.names()
            self._has_lost |= any(name.startswith(f"{_DAMAGED}/") for name in there)
            known = self._known()
            missing = sorted(filter(is_pack, {*there} - known - self._ignored))
            for first in range(0, len(missing), _AT_ONCE):
                fetched = self._objects.fetched(missing[first : first + _AT_ONCE])
                known |= {name for name, data in fetched if self._is_taken(name, data)}
                self._note(known)

    def _is_taken(self, name: str, data: bytes) -> bool:
        """Put the files of a pack into the journal; False where it is damaged."""
        try:
            files = self._verified(name, data)
        except Damaged as why:
            self._set_pack_aside(name, why)
            return False
        for file, content in files.items():
            if file == FACTS and not (self.folder / FACTS).exists():
                self._keep(self.folder / FACTS, content)
            elif file.endswith(".parquet"):
                begin = f"{file.removesuffix('.parquet')}@{name[:32]}"
                self._keep(self.folder / JOURNAL / f"{begin}{_FETCHED}", content)
        return True

    def _verified(self, name: str, data: bytes) -> Mapping[str, bytes]:
        try:
            return unpacked(name, data)
        except Damaged:
            # It may have come to harm on the way.
            again = self._objects.fetched_again(name)
            return unpacked(name, data if again is None else again)

    def _set_pack_aside(self, name: str, why: Damaged) -> None:
        self._has_lost = True
        self._ignored.add(name)
        try:
            self._objects.move(name, f"{_DAMAGED}/{name}")
        except StoreError as error:
            done = f"it is ignored, for it cannot be moved away (expected {error})"
        else:
            done = f"it was moved to {_DAMAGED}/ there"
        logger.warning(
            "damaged pack in the store: expected %s (%s/%s); %s, and what it held counts as not "
            "measured",
            *(why, self._objects.url, name, done),
        )

    def _upload(self) -> None:
        for path in sorted(self._outbox.glob("*")):
            if not is_pack(path.name):
                continue
            try:
                state = file_state([path])
                data = _content(path)
                unpacked(path.name, data)
            except FileNotFoundError:
                continue  # Another process has uploaded it.
            except Damaged as why:
                self._set_aside(path, state, why)
                continue
            self._objects.put(path.name, data)
            with self._alone(self.folder / _FETCH):
                self._note({*self._known(), path.name})
            self._delete([path])

    def _known(self) -> set[str]:
        """Packs that this folder holds already, uploaded from here or fetched."""
        path = self.folder / _KNOWN
        try:
            state = file_state([path])
            with reading(path):
                found = read_record(path, owner=self._owner, is_sealed=True).get("packs")
            return set(map(str, found)) if isinstance(found, list) else set()
        except FileNotFoundError:
            return set()
        except Damaged as why:
            # All of them are fetched again, which changes nothing.
            self._set_aside(path, state, why)
            return set()

    def _note(self, known: Iterable[str]) -> None:
        path = self.folder / _KNOWN
        with storing(path):
            write_record(path, {"packs": sorted(known)}, owner=self._owner)


def _content(path: Path) -> bytes:
    with reading(path):
        return whole_file(path)


def _is_fetched(path: Path) -> bool:
    return path.name.endswith(_FETCHED)

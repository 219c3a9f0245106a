"""Baselines through syrupy: `--snapshot-update` writes them, and only those of the tests that ran.

What syrupy's own extensions do and this one must not: claim every file of a folder that a test of
the run could own. A run of one checkpoint would then report the baselines of all others as unused
and delete them (syrupy#963). Here a test sees one file, that of its checkpoint and module, and an
entry is unused only when its test no longer exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from syrupy.data import Snapshot, SnapshotCollection, SnapshotCollections
from syrupy.extensions.base import AbstractSyrupyExtension
from syrupy.location import PyTestLocation
from syrupy.types import SerializableData, SerializedData, SnapshotIndex

from mmflow_bench.baselines.golden import (
    are_comparable,
    baseline_file,
    change_entries,
    differences,
    find_file,
    read_entries,
)

NOWHERE = Path("no-checkpoint")
"""Folder of tests that are about no checkpoint; it never exists."""


class FlowSnapshotExtension(AbstractSyrupyExtension):
    """One JSON file per checkpoint and test module, compared with stored tolerances."""

    file_extension = "json"
    # syrupy makes instances itself, also from the name of the class on the xdist controller, so
    # what a run decides has to live on the class; the plugin sets it when a session starts.
    roots: ClassVar[tuple[Path, ...]] = (Path("baselines"),)
    """Searched in order; written to the first."""
    slugs: ClassVar[frozenset[str]] = frozenset()
    collected: ClassVar[set[tuple[str, str]]] = set()
    """(file, entry) of every collected test: the entries that are not orphans."""
    is_updating: ClassVar[bool] = False
    is_partial: ClassVar[bool] = False
    """Whether only some tests of a module were collected, so that orphans cannot be told."""

    def serialize(self, data: SerializableData, **_: object) -> str:
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False, default=_plain)

    def matches(self, *, serialized_data: SerializedData, snapshot_data: SerializedData) -> bool:
        """Whether nothing differs by more than the stored tolerance.

        Baselines of other conditions (samples, window) are left alone, unless they are being
        replaced.
        """
        received, stored = json.loads(serialized_data), json.loads(snapshot_data)
        if not are_comparable(received, stored):
            return not self.is_updating
        return not any(differences(received, stored))

    def diff_lines(
        self, serialized_data: SerializedData, snapshot_data: SerializedData
    ) -> Iterator[str]:
        if snapshot_data:
            yield from differences(json.loads(serialized_data), json.loads(snapshot_data))

    @classmethod
    def model_of(cls, name: str) -> str | None:
        """The slug in a test name; the xdist controller knows nothing else of a test."""
        first = name.partition("[")[2].removesuffix("]").split("-")[0]
        return first if first in cls.slugs else None

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        name = super().get_snapshot_name(test_location=test_location, index=index)
        slug = cls.model_of(test_location.testname)
        return name.replace(f"[{slug}]", "", 1).replace(f"[{slug}-", "[", 1) if slug else name

    @classmethod
    def get_location(cls, *, test_location: PyTestLocation, **_: object) -> str:
        slug = cls.model_of(test_location.testname)
        if slug is None:
            return str(baseline_file(NOWHERE, "none", test_location.basename))
        found = None if cls.is_updating else find_file(cls.roots, slug, test_location.basename)
        return str(found or baseline_file(cls.roots[0], slug, test_location.basename))

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        return str(Path(cls.get_location(test_location=test_location)).parent)

    @classmethod
    def discovery_dirname(cls, *, test_location: PyTestLocation) -> str:
        """A key for "already looked at": one file, not a folder, is looked at."""
        return str(Path(cls.get_location(test_location=test_location)).with_suffix(""))

    def discover_snapshots(
        self, *, test_location: PyTestLocation, **_: object
    ) -> SnapshotCollections:
        """The orphans in the file of this test: entries whose test is gone."""
        discovered = SnapshotCollections()
        location = self.get_location(test_location=test_location)
        # Baselines that came with the package are not this project's to delete.
        if self.is_partial or not Path(location).is_relative_to(self.roots[0]):
            return discovered
        orphans = SnapshotCollection(location=location)
        for name in read_entries(Path(location)):
            if (location, name) not in self.collected:
                orphans.add(Snapshot(name=name))
        if orphans.has_snapshots:
            discovered.add(orphans)
        return discovered

    def read_snapshot_collection(self, *, snapshot_location: str) -> SnapshotCollection:
        collection = SnapshotCollection(location=snapshot_location)
        for name in read_entries(Path(snapshot_location)):
            collection.add(Snapshot(name=name))
        return collection

    def read_snapshot_data_from_location(
        self, *, snapshot_location: str, snapshot_name: str, **_: object
    ) -> str | None:
        entries = read_entries(Path(snapshot_location))
        return self.serialize(entries[snapshot_name]) if snapshot_name in entries else None

    @classmethod
    def write_snapshot_collection(
        cls, *, snapshot_collection: SnapshotCollection, **_: object
    ) -> None:
        """Merge the entries into their file; others in it stay."""
        new = {snapshot.name: json.loads(str(snapshot.data)) for snapshot in snapshot_collection}
        change_entries(Path(snapshot_collection.location), lambda entries: entries | new)

    def delete_snapshots(self, *, snapshot_location: str, snapshot_names: set[str]) -> None:
        change_entries(
            Path(snapshot_location),
            lambda entries: {k: v for k, v in entries.items() if k not in snapshot_names},
        )


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a baseline holds JSON values, got {type(value).__name__}")

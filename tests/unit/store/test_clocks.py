"""Machines whose clocks are hours apart: what they leave is what one of them would have left."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from shared_writer import IDENTITY, SHARDS, write

from mmflow_bench.store import store as package
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.shared import store_at

HOUR = 3600.0
ASKS_THE_TIME = re.compile(
    r"time\.time|time_ns\(|datetime|get[acm]time|modified|\bnow\(|st_[acm]time", re.IGNORECASE
)
Place = Callable[[str], Path | StoreAddress]


@pytest.fixture(params=["folder", "url"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where each machine finds the store: on a disk that all see, or at a URL."""
    if request.param == "folder":
        return lambda _: tmp_path / "shared"
    url = f"file://{tmp_path}/disk"
    return lambda machine: StoreAddress.parse(url, beside=tmp_path / machine)


def set_clock(folder: Path, hours: float) -> None:
    """Give files that were just written the time of a machine that is so many hours ahead."""
    now = time.time()
    for path in folder.rglob("*"):
        if abs(path.stat().st_mtime - now) < HOUR:
            os.utime(path, (now + hours * HOUR, now + hours * HOUR))


@pytest.mark.parametrize(("first", "second"), [(7, -7), (-7, 7), (24 * 400, -24 * 400)])
def test_they_leave_the_bytes_that_one_machine_leaves(
    first: int, second: int, place: Place, tmp_path: Path
) -> None:
    for machine, hours, samples in (("one", first, 7), ("two", second, 14), ("one", first, 20)):
        write(place(machine), samples)
        set_clock(tmp_path, hours)
    write(tmp_path / "plain", 20)
    plain = store_at(tmp_path / "plain", IDENTITY)
    for machine in ("one", "two", "three"):
        found = store_at(place(machine), IDENTITY)
        rows = [found.read(shard).to_pylist() for shard in SHARDS]
        assert rows == [plain.read(shard).to_pylist() for shard in SHARDS]
        assert not (found.folder / "damaged").exists()
        found.compact(SHARDS)
        for shard in SHARDS:
            name = f"{shard.name}.parquet"
            assert (found.folder / name).read_bytes() == (plain.folder / name).read_bytes()


def test_a_file_that_is_replaced_by_an_older_one_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "ahead", 3)
    store, shard = store_at(tmp_path / "ahead", IDENTITY), SHARDS[0]
    set_clock(tmp_path, 7)
    assert len(store.finished(shard)) == 3
    write(tmp_path / "ahead", 5)
    set_clock(tmp_path, -7)
    assert len(store.finished(shard)) == 5
    assert store.read(shard).equals(store_at(tmp_path / "ahead", IDENTITY).read(shard))


def test_no_part_of_the_store_asks_what_time_it_is() -> None:
    """But for whether a file was replaced, where a time is only ever equal or not."""
    found = [
        (path.name, line.strip())
        for path in Path(package.__file__).parent.glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if ASKS_THE_TIME.search(line)
    ]
    ((name, line),) = found
    assert name == "held.py"
    assert not re.search(r"[<>]|max|min|sort", line)

import errno
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.wants import UNSCORED
from mmflow_bench.store.sealed import identity_digest
from mmflow_bench.store.store import Store

IDENTITY = {"checkpoint": "abc", "dtype": "float32"}
SHARD = Sweep.of("image->question", width=9).shard


def rows(sample: str, layers: int = 3) -> list[dict[str, object]]:
    return [
        {
            **{"sample": sample, "layer": layer},
            **{"knockout_probability": layer / 7, "reference_probability": layer / 9},
        }
        for layer in range(layers)
    ]


def test_what_was_appended_is_read_back_sorted(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    for sample in ("b", "a"):
        store.append({SHARD: rows(sample)}, sample=sample)
    assert store.read(SHARD).to_pylist() == rows("a") + rows("b")


def test_only_the_asked_samples_are_read(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    for sample in ("a", "b", "c"):
        store.append({SHARD: rows(sample)}, sample=sample)
    assert store.read(SHARD, ["c", "a"]).to_pylist() == rows("a") + rows("c")


def test_compaction_keeps_every_row_and_empties_the_journal(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    store.append({SHARD: rows("a")}, sample="a")
    store.compact([SHARD])
    store.append({SHARD: rows("b")}, sample="b")
    store.compact([SHARD])
    assert store.read(SHARD).to_pylist() == rows("a") + rows("b")
    assert not list((store.folder / "journal").iterdir())


def test_a_sample_measured_by_two_workers_is_kept_once(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    store.append({SHARD: rows("a")}, sample="a")
    store.compact([SHARD])
    store.append({SHARD: rows("a")}, sample="a")
    store.compact([SHARD])
    assert store.read(SHARD).num_rows == 3


def test_shards_do_not_depend_on_the_order_of_measurement(tmp_path: Path) -> None:
    bytes_of = []
    for name, order in (("one", "abc"), ("two", "cab")):
        store = Store(tmp_path / name, IDENTITY)
        for sample in order:
            store.append({SHARD: rows(sample)}, sample=sample)
            if sample == "a":
                store.compact([SHARD])
        store.compact([SHARD])
        bytes_of.append((store.folder / f"{SHARD.name}.parquet").read_bytes())
    assert bytes_of[0] == bytes_of[1]


def test_another_identity_is_another_folder(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    store.append({SHARD: rows("a")}, sample="a")
    other = Store(tmp_path, IDENTITY | {"dtype": "bfloat16"})
    assert other.read(SHARD).num_rows == 0


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert identity_digest({"a": 1, "b": 2}) == identity_digest({"b": 2, "a": 1})


def test_two_reasons_of_one_sample_are_both_kept(tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    for scope in ("answer", "lens"):
        row = {"sample": "a", "scope": scope, "reason": "why", "message": "text"}
        store.append({UNSCORED: [row]}, sample="a")
    assert store.read(UNSCORED).num_rows == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match=r"writable measurement store.*--mmflow-cache"):
        Store(blocker, IDENTITY)


def test_a_full_disk_is_said_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, IDENTITY)
    store.append({SHARD: rows("a")}, sample="a")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.append({SHARD: rows("b")}, sample="b")
    monkeypatch.undo()
    assert Store(tmp_path, IDENTITY).read(SHARD).to_pylist() == rows("a")


def _append_forever(root: str) -> None:
    store = Store(Path(root), IDENTITY)
    for count in range(100_000):
        store.append({SHARD: rows(f"{count:05d}")}, sample=f"{count:05d}")
        if count % 7 == 6:
            store.compact([SHARD])


def test_a_killed_writer_leaves_only_whole_samples(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_append_forever, args=(str(tmp_path),)
    )
    process.start()
    store = Store(tmp_path, IDENTITY)
    deadline = time.monotonic() + 30
    while len(store.finished(SHARD)) < 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    table = store.read(SHARD).to_pylist()
    done = sorted({row["sample"] for row in table})
    assert len(done) >= 20
    assert table == [row for sample in done for row in rows(sample)]


def test_rows_are_found_while_another_process_merges_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, merging = (Store(tmp_path, {"checkpoint": "a"}) for _ in range(2))
    store.append({SHARD: rows("0")}, sample="0")
    plain, looks = store._files, []

    def files(shard: str) -> list[Path]:
        found = plain(shard)
        looks.append(found)
        if len(looks) <= 3:
            # What was just listed is gone before it is read, and more has come.
            merging.compact([SHARD])
            merging.append({SHARD: rows(str(len(looks)))}, sample=str(len(looks)))
        return found

    monkeypatch.setattr(store, "_files", files)
    assert set(store.read(SHARD)["sample"].to_pylist()) == {"0", "1", "2", "3"}
    assert len(looks) == 4


def test_no_read_fails_or_loses_a_row_while_another_process_replaces_the_shard(
    tmp_path: Path,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_append_forever, args=(str(tmp_path),)
    )
    process.start()
    store, seen = Store(tmp_path, IDENTITY), frozenset[str]()
    deadline = time.monotonic() + 30
    try:
        reads = 0
        while reads < 1000 and time.monotonic() < deadline:
            found = store.finished(SHARD)
            assert found >= seen
            seen, reads = found, reads + bool(found)
    finally:
        process.kill()
        process.join()
    assert reads == 1000
    assert len(seen) > 1

"""A store at a URL: what one machine has measured the others read, whatever goes wrong between."""

from __future__ import annotations

import io
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event

import fsspec
import pyarrow.parquet as pq
import pytest
from faults import harm
from flaky import flaky
from fsspec.implementations.memory import MemoryFileSystem

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.wants import ANSWERS, PATCHES
from mmflow_bench.store import objects, shared
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.packs import packed, unpacked
from mmflow_bench.store.shards import Damaged, Shard
from mmflow_bench.store.shared import SharedStore, store_at
from mmflow_bench.store.store import Store

IDENTITY = {"checkpoint": "abc", "dtype": "float32"}
FACTS = {"decoder_layers": 3}
SWEEP = Sweep.of("image->question", width=9).shard
OTHER = Sweep.of("question->last", width=9).shard
SHARDS = (SWEEP, OTHER)
SAMPLES = ("a", "b", "c", "d")
Found = dict[str, object]


def rows(shard: Shard, sample: str) -> list[dict[str, object]]:
    seed = 9 + SAMPLES.index(sample) + len(shard.name)
    return [
        {"sample": sample, "layer": layer, "knockout_probability": (layer + 1) / seed}
        for layer in range(3)
    ]


def measure(store: Store, samples: tuple[str, ...]) -> None:
    for sample in samples:
        store.append({shard: rows(shard, sample) for shard in SHARDS}, sample=sample)


def run(place: Path | StoreAddress, samples: tuple[str, ...] = SAMPLES) -> Store:
    """What a run does, without a model: measure what the store lacks, merge and share."""
    store = store_at(place, IDENTITY)
    if not store.facts():
        store.remember(FACTS)
    lacking = tuple(one for one in samples if one not in store.finished(SWEEP))
    measure(store, lacking)
    store.compact(SHARDS)
    store.share(SHARDS)
    return store


def found_in(store: Store) -> Found:
    return {shard.name: store.read(shard).to_pylist() for shard in SHARDS}


def bytes_of(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.glob("*.parquet")}


def journal_of(store: Store) -> list[Path]:
    return sorted((store.folder / "journal").iterdir())


def outbox_of(store: Store) -> list[Path]:
    return sorted((store.folder / "outbox").glob("*.pack"))


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WAITS", (0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    MemoryFileSystem.store.clear()
    return "memory://bucket/prefix" if request.param == "memory" else f"file://{tmp_path}/disk"


@pytest.fixture
def at(url: str, tmp_path: Path) -> Callable[[str], StoreAddress]:
    return lambda machine: StoreAddress.parse(url, beside=tmp_path / machine)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, "mmflow_bench"):
        yield caplog


def there(url: str) -> list[str]:
    system, root = fsspec.core.url_to_fs(url)
    return sorted(path.removeprefix(root.rstrip("/")) for path in system.find(root))


def packs_at(url: str) -> list[str]:
    return [path for path in there(url) if path.endswith(".pack") and "damaged" not in path]


def test_what_one_machine_measures_another_reads(url, at, plain, said):
    first = run(at("one"))
    second = store_at(at("two"), IDENTITY)
    assert found_in(first) == found_in(second) == found_in(plain)
    assert second.facts() == FACTS
    assert bytes_of(first) == bytes_of(plain)
    assert len(packs_at(url)) == 1
    assert not said.messages


def test_each_machine_measures_what_no_other_has(url, at, plain):
    run(at("one"), ("a", "c"))
    second = run(at("two"))
    assert [path.name for path in journal_of(second)] == []
    third = store_at(at("three"), IDENTITY)
    assert found_in(second) == found_in(third) == found_in(plain)
    # What was fetched is not uploaded again.
    assert sum(len(row) for row in contents(url).values()) == len(SAMPLES) * 3 * len(SHARDS)


def contents(url: str) -> dict[str, list[object]]:
    """File of a pack -> its rows, of all packs together."""
    system, root = fsspec.core.url_to_fs(url)
    rows: dict[str, list[object]] = {}
    for path in packs_at(url):
        name = path.rpartition("/")[2]
        for file, data in unpacked(name, system.cat_file(root.rstrip("/") + path)).items():
            if file.endswith(".parquet"):
                table = pq.ParquetFile(io.BytesIO(data)).read()
                rows.setdefault(file, []).extend(table.to_pylist())
    return rows


def test_a_machine_reads_what_others_measure_while_it_is_open(at, plain):
    late = store_at(at("two"), IDENTITY)
    run(at("one"))
    assert late.finished(SWEEP) == frozenset()
    late.catch_up()
    assert found_in(late) == found_in(plain)


def test_two_that_measure_the_same_are_read_once(url, at, plain):
    first, second = store_at(at("one"), IDENTITY), store_at(at("two"), IDENTITY)
    measure(first, SAMPLES)
    measure(second, SAMPLES)
    first.share(SHARDS)
    second.share(SHARDS)
    # Without facts both packs are the same object.
    assert len(packs_at(url)) == 1
    second.remember(FACTS)
    measure(second, ("a",))
    second.share(SHARDS)
    third = store_at(at("three"), IDENTITY)
    assert len(packs_at(url)) == 2
    assert found_in(third) == found_in(plain)


def test_names_do_not_tell_the_time(url, at, monkeypatch):
    run(at("one"))
    before = there(url)
    for path in before:
        fsspec.core.url_to_fs(url)[0].rm_file(url.rstrip("/") + path)
    monkeypatch.setattr("time.time", lambda: 4e9)
    run(at("two"))
    assert there(url) == before


def test_samples_are_shared_while_others_are_measured(url, at, monkeypatch):
    store = store_at(at("one"), IDENTITY)
    monkeypatch.setattr(shared, "SECONDS_BETWEEN_PACKS", 0.0)
    store.share(SHARDS)
    measure(store, ("a", "b"))
    assert len(packs_at(url)) == 2
    assert store_at(at("two"), IDENTITY).finished(SWEEP) == {"a", "b"}


def test_a_killed_run_is_uploaded_by_the_next(url, at, plain):
    killed = store_at(at("one"), IDENTITY)
    measure(killed, ("a", "b"))
    assert not packs_at(url)
    store_at(at("one"), IDENTITY).share(SHARDS)
    assert store_at(at("two"), IDENTITY).finished(SWEEP) == {"a", "b"}
    assert found_in(run(at("one"))) == found_in(plain)


STEPS = ("_one_file", "_keep", "_write", "_delete", "_upload", "_note")


class Killed(BaseException):
    """Ends a run wherever it is."""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("url", ["memory"], indirect=True)
@pytest.mark.usefixtures("url")
def test_a_run_that_is_killed_anywhere_loses_nothing(
    step: str, is_done: bool, count: int, at, plain, monkeypatch
) -> None:
    killed = store_at(at("one"), IDENTITY)
    killed.remember(FACTS)
    measure(killed, ("a", "b"))
    real, left = getattr(SharedStore, step), [count]

    def ended(store: SharedStore, *args: object) -> object:
        left[0] -= 1
        if left[0] >= 0:
            return real(store, *args)
        if is_done:
            real(store, *args)
        raise Killed

    with monkeypatch.context() as patches:
        patches.setattr(SharedStore, step, ended)
        with suppress(Killed):
            killed.share(SHARDS)
    resumed = store_at(at("one"), IDENTITY)
    assert resumed.finished(SWEEP) == {"a", "b"}
    assert found_in(run(at("one"))) == found_in(plain)
    other = store_at(at("two"), IDENTITY)
    assert found_in(other) == found_in(plain)
    assert not outbox_of(resumed)
    assert bytes_of(resumed) == bytes_of(plain)


@pytest.mark.parametrize("kind", ["flipped", "cut", "empty", "zeros", "longer", "noise", "text"])
def test_a_damaged_pack_is_set_aside_and_measured_again(kind, tmp_path, plain, said):
    def at(machine: str) -> StoreAddress:
        return StoreAddress.parse(f"file://{tmp_path}/disk", beside=tmp_path / machine)

    run(at("one"), ("a", "b"))
    (pack,) = (tmp_path / "disk").rglob("*.pack")
    for seed in range(5 if kind == "flipped" else 1):
        harm(pack, kind, seed)
    second = store_at(at("two"), IDENTITY)
    assert second.finished(SWEEP) == frozenset()
    (line,) = said.messages
    assert "got other bytes" in line
    assert pack.name in line
    assert "it was moved to damaged/ there" in line
    assert second.has_lost(PATCHES)
    assert found_in(run(at("two"))) == found_in(plain)
    third = store_at(at("three"), IDENTITY)
    assert found_in(third) == found_in(plain)
    assert third.has_lost(ANSWERS)
    assert len(said.messages) == 1


def test_a_damaged_pack_that_cannot_be_moved_is_ignored(tmp_path, said):
    with flaky() as driver:
        one = StoreAddress.parse("flaky://x", beside=tmp_path / "one")
        run(one)
        (name,) = (path for path in driver.store if path.endswith(".pack"))
        driver.store[name].seek(9)
        driver.store[name].write(b"?")
        driver.refused = PermissionError
        second = store_at(StoreAddress.parse("flaky://x", beside=tmp_path / "two"), IDENTITY)
        second.catch_up()
        assert second.finished(SWEEP) == frozenset()
        (line,) = said.messages
        assert "it is ignored, for it cannot be moved away" in line


def test_a_pack_of_another_checkpoint_is_not_taken_for_its_own(at, plain, said, url):
    foreign = store_at(at("one"), IDENTITY | {"checkpoint": "other"})
    measure(foreign, SAMPLES)
    foreign.share(SHARDS)
    (pack,) = packs_at(url)
    system, root = fsspec.core.url_to_fs(url)
    own = Store(at("one").folder, IDENTITY).folder.name
    system.makedirs(f"{root}/{own}", exist_ok=True)
    system.cp_file(root.rstrip("/") + pack, f"{root}/{own}/{pack.rpartition('/')[2]}")
    assert found_in(run(at("two"))) == found_in(plain)
    assert len(said.messages) == len(SHARDS)
    assert all("got other content" in line for line in said.messages)


@pytest.mark.parametrize(
    "name", ["../outside.parquet", "/etc/x.parquet", ".hidden.json", "a@b.exe"]
)
def test_a_pack_cannot_write_outside_of_its_store(name):
    said, data = packed({name: b"x"})
    with pytest.raises(Damaged, match="files of a store, got one named"):
        unpacked(said, data)


def test_a_pack_that_would_fill_the_disk_is_refused(monkeypatch):
    monkeypatch.setattr("mmflow_bench.store.packs.MOST_BYTES", 10)
    name, data = packed({"a.parquet": bytes(11)})
    with pytest.raises(Damaged, match="at most 10 bytes"):
        unpacked(name, data)


@pytest.mark.parametrize("seed", range(5))
def test_a_driver_that_fails_one_request_in_ten_changes_nothing(seed, tmp_path, plain, said):
    with flaky(share=0.1, seed=seed) as driver:
        for machine, samples in (("one", ("a",)), ("two", ("b", "c")), ("three", SAMPLES)):
            store = run(StoreAddress.parse("flaky://x", beside=tmp_path / machine), samples)
        assert found_in(store) == found_in(plain)
        assert bytes_of(store) == bytes_of(plain)
        assert driver.asked > 9
    assert not said.messages


@pytest.mark.parametrize("refused", [PermissionError, OSError])
def test_what_cannot_be_uploaded_stays_for_the_next_run(refused, tmp_path, plain, said):
    address = StoreAddress.parse("flaky://full", beside=tmp_path / "one")
    with flaky() as driver:
        driver.refused = refused
        store = store_at(address, IDENTITY)
        store.require_writable()
        store.remember(FACTS)
        measure(store, SAMPLES)
        store.share(SHARDS)
        store.share(SHARDS)
        (line,) = said.messages
        assert f"got {refused.__name__}: writes are refused (flaky://full/" in line
        assert f"stays in {store.folder} until" in line
        assert found_in(store) == found_in(plain)
        assert len(outbox_of(store)) == 1
        driver.refused = None
        again = store_at(address, IDENTITY)
        again.share(SHARDS)
        assert not outbox_of(again)
        other = store_at(StoreAddress.parse("flaky://full", beside=tmp_path / "two"), IDENTITY)
        assert found_in(other) == found_in(plain)


def test_that_uploading_works_again_is_said(tmp_path, said, monkeypatch):
    with flaky() as driver:
        store = store_at(StoreAddress.parse("flaky://full", beside=tmp_path), IDENTITY)
        driver.refused = OSError
        measure(store, ("a",))
        store.share(SHARDS)
        driver.refused = None
        # Not at once: whoever has refused is left alone for a while.
        store.share(SHARDS)
        assert len(outbox_of(store)) == len(said.messages) == 1
        monkeypatch.setattr(shared.time, "monotonic", lambda: 1e9)
        store.share(SHARDS)
    assert not outbox_of(store)
    assert "is uploaded now" in said.messages[-1]


def test_a_place_that_cannot_be_listed_is_refused_before_anything_is_measured(tmp_path):
    with flaky(share=1.0), pytest.raises(StoreError) as refused:
        store_at(StoreAddress.parse("flaky://x", beside=tmp_path), IDENTITY)
    assert "flaky://x/" in str(refused.value)
    assert f"--from-cache --mmflow-cache={tmp_path}" in str(refused.value)


def test_a_place_that_fails_later_stops_no_run(tmp_path, plain, said):
    with flaky() as driver:
        store = store_at(StoreAddress.parse("flaky://x", beside=tmp_path), IDENTITY)
        driver.share = 1.0
        store.catch_up()
        measure(store, SAMPLES)
        store.compact(SHARDS)
        store.share(SHARDS)
        assert found_in(store) == found_in(plain)
    assert len(said.messages) == 2
    assert "cannot be fetched" in said.messages[0]


def test_a_place_that_never_answers_is_not_waited_for(tmp_path, said, monkeypatch):
    with flaky() as driver:
        store = store_at(StoreAddress.parse("flaky://x", beside=tmp_path), IDENTITY)
        measure(store, ("a",))
        answer = Event()
        monkeypatch.setattr(driver, "_may_write", lambda _: answer.wait())
        monkeypatch.setattr(objects, "PATIENCE", 0.1)
        store.share(SHARDS)
        answer.set()
    (line,) = said.messages
    assert "got NoAnswer: none within" in line
    assert len(outbox_of(store)) == 1


def test_a_driver_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(StoreError, match="Install s3fs"):
        store_at(StoreAddress.parse("s3://bucket", beside=tmp_path), IDENTITY)


def test_a_list_of_packs_that_comes_to_harm_is_made_anew(at, plain, said):
    store = run(at("one"))
    harm(store.folder / "packs.json", "noise")
    assert found_in(store_at(at("one"), IDENTITY)) == found_in(plain)
    assert ["packs.json" in line for line in said.messages] == [True]


def test_a_damaged_pack_in_the_outbox_is_never_uploaded(url, at, said):
    store = store_at(at("one"), IDENTITY)
    measure(store, ("a",))
    store.compact(SHARDS)
    (pack,) = outbox_of(store)
    harm(pack, "cut")
    store.share(SHARDS)
    assert not packs_at(url)
    assert (store.folder / "damaged" / pack.name).is_file()
    assert [pack.name in line for line in said.messages] == [True]


def test_many_packs_are_merged_by_whoever_reads_them(at, monkeypatch):
    monkeypatch.setattr(shared, "_MANY", 2)
    for sample in SAMPLES:
        run(at("one"), (sample,))
    other = store_at(at("two"), IDENTITY)
    assert len([path for path in journal_of(other) if path.name.startswith(SWEEP.name)]) == 4
    assert other.finished(SWEEP) == set(SAMPLES)
    assert not [path for path in journal_of(other) if path.name.startswith(SWEEP.name)]
    # They are not its own to upload.
    assert not outbox_of(other)


def test_a_lost_front_is_fetched_again(at, plain):
    store = run(at("one"))
    shutil.rmtree(store.folder)
    assert found_in(store_at(at("one"), IDENTITY)) == found_in(plain)


WRONG = {
    "s4://bucket": "did you mean s3",
    "://bucket": "such as s3://bucket/prefix",
    "s3://": "names a place",
    "file:///": "names a place",
    "ftp://me:secret@host/x": "without a password",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_names_no_store_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match=WRONG[url]) as refused:
        StoreAddress.parse(url, beside=tmp_path)
    assert "secret" not in str(refused.value)


def test_urls_have_folders_of_their_own(tmp_path):
    urls = ["s3://a/b", "s3://a-b", "s3://a/b/c", "gs://a/b", "memory://" + "x" * 300]
    folders = {StoreAddress.parse(url, beside=tmp_path).folder for url in urls}
    assert len(folders) == len(urls)
    assert all(folder.is_relative_to(tmp_path) for folder in folders)
    same = StoreAddress.parse("s3://a/b/", beside=tmp_path)
    assert (same.folder in folders, str(same)) == (True, "s3://a/b")


def test_drivers_see_what_others_have_written_since():
    with flaky():
        first, second = objects.Objects("flaky://x"), objects.Objects("flaky://x")
        assert first.names() == []
        second.put("a", b"1")
        assert first.names() == ["a"]
        assert dict(first.fetched(["a", "gone"])) == {"a": b"1"}

"""Whatever happens to a store, nothing wrong is read of it, and what is lost is said and redone."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from faults import EDITS, FAULTS, HARM, faulty, harm, read_only
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import LENS
from mmflow_bench.measurements.wants import ANSWERS
from mmflow_bench.store.sealed import identity_digest, write_rows
from mmflow_bench.store.shards import Shard
from mmflow_bench.store.store import Store

IDENTITY = {"checkpoint": "abc", "dtype": "float32"}
FACTS = {"decoder_layers": 3}
SWEEP = Sweep.of("image->question", width=9).shard
OTHER = Sweep.of("question->last", width=9).shard
SAMPLES = ("a", "b", "c")
Found = dict[str, object]


def rows(shard: Shard, sample: str) -> list[dict[str, object]]:
    """What a sample gives of a shard, another number in every place."""
    seed = 1 + SAMPLES.index(sample) + 10 * len(shard.name)
    if shard == ANSWERS:
        answer = {"prediction": f"word {sample}", "is_correct": True, "answer_token_id": seed}
        clean = {"base_probability": 1 / seed, "noise": 0.0}
        return [{"sample": sample, **answer, **clean, "reference_token_id": None}]
    if shard == LENS:
        return [
            {"sample": sample, "layer": layer, "probe": "answer", "variant": variant}
            | {"probability": (layer + 1) / (seed + 9)}
            for variant, depth in (("raw", 4), ("output", 1))
            for layer in range(depth)
        ]
    return [
        {"sample": sample, "layer": layer, "knockout_probability": (layer + 1) / (seed + 9)}
        for layer in range(3)
    ]


SHARDS = (ANSWERS, SWEEP, OTHER, LENS)


def run(root: Path) -> Found:
    """Open a store, measure what it lacks, and read all of it: what a run does, without a model."""
    store = Store(root, IDENTITY)
    if not store.facts():
        store.remember(FACTS)
    for _ in range(4):
        lacking = [
            (shard, sample)
            for sample in SAMPLES
            for shard in SHARDS
            if sample not in store.finished(shard)
        ]
        for shard, sample in lacking:
            store.append({shard: rows(shard, sample)}, sample=sample)
        # Also what a run has left that came to its end while the disk was full.
        if lacking or any((store.folder / "journal").iterdir()):
            store.compact(SHARDS)
        found: Found = {shard.name: store.read(shard).to_pylist() for shard in SHARDS}
        if all(store.finished(shard) == set(SAMPLES) for shard in SHARDS):
            return found
    raise AssertionError("a run that comes to an end, got four that did not")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    run(root)
    return root


@pytest.fixture(scope="module")
def undisturbed(whole: Path) -> Found:
    return run(whole)


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, "mmflow_bench"):
        yield caplog


def folder_of(root: Path) -> Path:
    return root / identity_digest(IDENTITY)[:24]


def shard_file(root: Path, shard: Shard = SWEEP) -> Path:
    return folder_of(root) / f"{shard.name}.parquet"


def bytes_of(root: Path) -> dict[str, bytes]:
    paths = [path for path in folder_of(root).iterdir() if path.suffix == ".parquet"]
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.slow
@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(FAULTS),
    at=st.integers(0, 40),
    seed=st.integers(0, 2**16),
    is_warm=st.booleans(),
)
def test_after_any_fault_a_run_ends_with_the_same_rows(
    kind: str, at: int, seed: int, is_warm: bool, whole: Path, undisturbed: Found
) -> None:
    check_fault(kind, at, seed, is_warm, whole, undisturbed)


@pytest.mark.parametrize("at", [3, 16])
@pytest.mark.parametrize("kind", FAULTS)
def test_after_a_fault_a_run_ends_with_the_same_rows(
    kind: str, at: int, whole: Path, undisturbed: Found
) -> None:
    check_fault(kind, at, at, False, whole, undisturbed)


def check_fault(
    kind: str, at: int, seed: int, is_warm: bool, whole: Path, undisturbed: Found
) -> None:
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("mmflow_bench").addHandler(handler)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "store"
        if is_warm:
            shutil.copytree(whole, root)
        with faulty(kind, at, seed) as fault:
            try:
                assert run(root) == undisturbed
            except StoreError as error:
                lines.append(str(error))
        logging.getLogger("mmflow_bench").removeHandler(handler)
        if fault.hit is not None:
            assert fault.hit.name in "\n".join(lines)
        else:
            assert not lines
        assert run(root) == undisturbed
        assert bytes_of(root) == bytes_of(whole)


@pytest.mark.parametrize("kind", HARM)
@pytest.mark.parametrize(
    "name", [*(f"{shard.name}.parquet" for shard in SHARDS), "facts.json", "identity.json"]
)
def test_a_file_that_comes_to_harm_is_named_and_measured_again(
    name: str, kind: str, copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    path = folder_of(copied) / name
    # Not every bit of a Parquet file tells anything: as many as surely hit one that does.
    for seed in range(9 if kind == "flipped" else 1):
        harm(path, kind, seed)
    assert run(copied) == undisturbed
    assert [path.name in line for line in said.messages] == [True]
    assert (folder_of(copied) / "damaged" / name).exists()
    assert path.is_file()
    said.clear()
    assert run(copied) == undisturbed
    assert not said.messages


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("shard", [ANSWERS, SWEEP], ids=lambda shard: shard.name[:7])
def test_rows_that_were_edited_are_not_read(
    shard: Shard, kind: str, copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    path = shard_file(copied, shard)
    harm(path, kind)
    assert run(copied) == undisturbed
    assert [path.name in line for line in said.messages] == [True]


def test_every_flipped_bit_of_a_shard_is_noticed_or_changes_nothing(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    path = shard_file(copied)
    content = path.read_bytes()
    noticed = 0
    for seed in range(150):
        path.write_bytes(content)
        harm(path, "flipped", seed)
        store = Store(copied, IDENTITY)
        found = store.read(SWEEP).to_pylist()
        noticed += not found
        assert found in ([], undisturbed[SWEEP.name])
    assert noticed > 75
    assert len(said.messages) == noticed
    # What was set aside is all there, one beside the other.
    assert len(list((folder_of(copied) / "damaged").iterdir())) == noticed


def test_a_shard_of_another_edge_or_store_is_not_taken_for_its_own(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    shutil.copy(shard_file(copied, OTHER), shard_file(copied, SWEEP))
    foreign = Store(copied, IDENTITY | {"checkpoint": "other"})
    foreign.append({OTHER: rows(OTHER, "a")}, sample="a")
    foreign.compact([OTHER])
    shutil.copy(foreign.folder / f"{OTHER.name}.parquet", shard_file(copied, OTHER))
    assert run(copied) == undisturbed
    assert len(said.messages) == 2
    assert all("got other content" in line for line in said.messages)


def test_journals_are_verified_too(
    tmp_path: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, IDENTITY)
    for sample in SAMPLES:
        store.append({SWEEP: rows(SWEEP, sample)}, sample=sample)
    first, second, _ = sorted((store.folder / "journal").iterdir())
    harm(first, "7.5")
    harm(second, "folder")
    assert store.finished(SWEEP) == {"c"}
    assert [path.name in line for path, line in zip((first, second), said.messages, strict=True)]
    assert run(tmp_path) == undisturbed


RESEALED = {
    "7.5": "values of knockout_probability from 0 to 1, got 7.5",
    "NaN": "finite values of knockout_probability",
    "infinite": "finite values of knockout_probability",
    "negative": "from 0 to 1, got -0.1",
    "without a row": "layers from 0 on without a gap, got layer 2 of 3",
    "a row twice": "each layer of a sample once|as many layers for every sample",
    "a column less": "the columns sample .*, got sample",
    "other types": r"the columns sample .*, got .*knockout_probability \(string\)",
}


@pytest.mark.parametrize("kind", RESEALED)
def test_a_seal_that_was_made_to_fit_does_not_make_a_value_possible(
    kind: str, copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    path = shard_file(copied)
    harm(path, kind)
    table = pq.read_table(path)
    write_rows(path, table, name=SWEEP.name, owner=identity_digest(IDENTITY))
    assert run(copied) == undisturbed
    (line,) = said.messages
    assert re.search(RESEALED[kind], line)


@pytest.mark.parametrize("value", [7.5, float("nan"), float("inf"), -0.1, None])
def test_a_measurement_that_cannot_be_is_not_written(value: float | None, tmp_path: Path) -> None:
    store = Store(tmp_path, IDENTITY)
    measured = rows(SWEEP, "a")
    measured[1]["knockout_probability"] = value
    with pytest.raises(StoreError, match=r"knockout_probability.*sweep\.image-to-question"):
        store.append({SWEEP: measured}, sample="a")
    assert store.read(SWEEP).num_rows == 0


def _kind(value: object) -> str:
    # The text of an object is its place in memory, which every worker has otherwise.
    return type(value).__name__


@pytest.mark.parametrize("value", ["often", [0.5], {"a": 1}, b"0.5", object()], ids=_kind)
def test_a_measurement_of_another_type_is_one_clear_error(value: object, tmp_path: Path) -> None:
    measured = [row | {"knockout_probability": value} for row in rows(SWEEP, "a")]
    with pytest.raises(StoreError, match=r"measurements that can be.*sweep\.image-to-question"):
        Store(tmp_path, IDENTITY).append({SWEEP: measured}, sample="a")


@pytest.mark.parametrize("layers", [[0, 1, 3], [0, 0, 1], [1, 2, 3], [0, 1, -1], [0, 1, 2**60]])
def test_layers_are_all_there_and_each_once(layers: list[int], tmp_path: Path) -> None:
    measured = [row | {"layer": n} for row, n in zip(rows(SWEEP, "a"), layers, strict=True)]
    with pytest.raises(StoreError, match="layer"):
        Store(tmp_path, IDENTITY).append({SWEEP: measured}, sample="a")


def test_the_reader_of_a_store_needs_no_right_to_write(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    with read_only():
        assert run(copied) == undisturbed
    assert not said.messages


def test_what_a_reader_without_that_right_lacks_is_one_clear_error(
    copied: Path, said: pytest.LogCaptureFixture
) -> None:
    path = shard_file(copied)
    harm(path, "7.5")
    with read_only():
        store = Store(copied, IDENTITY)
        assert store.finished(SWEEP) == store.finished(SWEEP) == frozenset()
        with pytest.raises(StoreError, match=r"^a writable measurement store.*Read-only.*\.lock"):
            store.lock("measure").__enter__()
        with pytest.raises(StoreError, match=r"^a writable measurement store.*Read-only"):
            store.require_writable()
    (line,) = said.messages
    assert "it is ignored" in line
    assert path.name in line
    assert path.is_file()


def test_no_store_can_be_made_where_nothing_may_be_written(tmp_path: Path) -> None:
    with read_only(), pytest.raises(StoreError, match=r"^a writable measurement store.*Read-only"):
        Store(tmp_path / "root", IDENTITY)


def older(root: Path) -> None:
    """Make a store what it was before files had a seal."""
    folder = folder_of(root)
    (folder / "sealed").unlink()
    for path in folder.glob("*.parquet"):
        pq.write_table(pq.read_table(path).replace_schema_metadata(), path)
    (folder / "facts.json").write_text('{"decoder_layers": 3}')


def test_a_store_from_before_there_were_seals_is_read_and_sealed(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    older(copied)
    before = {path: path.stat().st_ino for path in folder_of(copied).glob("*.parquet")}
    store = Store(copied, IDENTITY)
    assert {shard.name: store.read(shard).to_pylist() for shard in SHARDS} == undisturbed
    assert store.facts() == FACTS
    assert all(path.stat().st_ino != node for path, node in before.items())
    assert not said.messages
    # From now on a file without a seal is a damaged one.
    path = shard_file(copied)
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path)
    assert run(copied) == undisturbed
    assert ["got none" in line for line in said.messages] == [True]


def test_older_files_with_impossible_values_are_set_aside(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    for shard, kind in ((SWEEP, "NaN"), (ANSWERS, "7.5")):
        harm(shard_file(copied, shard), kind)
    older(copied)
    assert run(copied) == undisturbed
    assert sorted("sweep" in line for line in said.messages) == [False, True]


def test_an_older_store_that_cannot_be_written_is_read_as_it_is(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    older(copied)
    with read_only():
        assert run(copied) == undisturbed
    (line,) = said.messages
    assert "the store cannot be written, got Read-only file system" in line


def test_an_older_store_in_the_place_of_another_is_not_taken_over(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    older(copied)
    path = folder_of(copied) / "identity.json"
    path.write_text(path.read_text().replace("abc", "abd"))
    assert run(copied) == undisturbed
    # The identity, the facts and every shard.
    assert len(said.messages) == 2 + len(SHARDS)


def test_facts_of_other_types_are_damaged(copied: Path, said: pytest.LogCaptureFixture) -> None:
    assert Store(copied, IDENTITY).facts(lambda _: False) == {}
    assert ["facts.json" in line for line in said.messages] == [True]


def test_a_file_in_the_place_of_the_journal_is_set_aside(
    copied: Path, undisturbed: Found, said: pytest.LogCaptureFixture
) -> None:
    journal = folder_of(copied) / "journal"
    journal.rmdir()
    journal.write_text("")
    assert run(copied) == undisturbed
    assert ["journal" in line for line in said.messages] == [True]


@pytest.mark.parametrize("name", ["../outside", "a/b", "x" * 300, "", ".", "\n"])
def test_a_lock_stays_in_its_store_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "root", IDENTITY)
    with store.lock(name):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    with suppress(StopIteration):
        assert next((tmp_path / "root").glob("*.lock")) is None


def test_a_folder_in_the_place_of_a_lock_is_one_clear_error(copied: Path) -> None:
    store = Store(copied, IDENTITY)
    (folder_of(copied) / "compact.lock").unlink()
    (folder_of(copied) / "compact.lock").mkdir()
    with pytest.raises(StoreError, match=r"compact\.lock"):
        store.compact([SWEEP])


def test_a_damaged_file_that_cannot_be_moved_is_not_overwritten(copied: Path) -> None:
    path = shard_file(copied)
    harm(path, "noise")
    (folder_of(copied) / "damaged").write_text("no folder")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=f"damaged files can be moved.*{path.name}"):
        run(copied)
    assert path.read_bytes() == before

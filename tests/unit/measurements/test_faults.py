"""A run over a disk with faults measures again what it has lost, and says so, or gives up."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faults import faulty, harm, read_only

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import StoreError
from mmflow_bench.measurements import measuring, proved, session
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.measuring import Measured
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.wants import ANSWERS, PATCHES
from mmflow_bench.store.store import Store

TASK, LAYERS = "ChooseAttr", 3
SWEEP = Sweep.of("image->question", width=1)
BLIND = Blind(blinding=Blinding.REMOVED)


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measuring that takes no time, with other numbers for each sample; what was loaded or done."""
    done: list[str] = []

    def load(*_: Any, **__: Any) -> tuple[object, dict[str, object]]:
        done.append("loaded")
        facts: dict[str, object] = {"decoder_layers": LAYERS, "self_test": []}
        return SimpleNamespace(decoder_layers=LAYERS, fingerprint="made up"), facts

    def measure(_: object, jobs: Any, **__: Any) -> Iterator[Measured]:
        for job in jobs:
            done.append(job.key)
            chance = int(hashlib.sha256(job.key.encode()).hexdigest()[:6], 16) / 16**6
            rows: Any = {want.shard: [_row(want, job.key, chance)] for want in job.wants}
            for want in job.wants:
                if isinstance(want, Sweep):
                    row = rows[want.shard][0]
                    rows[want.shard] = [row | {"layer": layer} for layer in range(LAYERS)]
            if job.answer is None:
                rows[PATCHES] = [_patches(job.key, chance)]
                rows[ANSWERS] = [_answer(job.key, chance)]
            yield Measured(key=job.key, rows=rows)

    monkeypatch.setattr(proved, "load_proved", load)
    monkeypatch.setattr(measuring, "measure", measure)
    # Of all its weights, each time that measurements are opened.
    monkeypatch.setattr(session, "fingerprint", lambda _: "made up")
    return done


def _row(want: object, key: str, chance: float) -> dict[str, object]:
    if isinstance(want, Sweep):
        return {"sample": key, "knockout_probability": chance}
    answer = {"prediction": "red", "is_correct": False}
    return {"sample": key, **answer, "blind_probability": chance / 2}


def _patches(key: str, chance: float) -> dict[str, object]:
    size = dict.fromkeys(("width", "height", "rows", "columns"), 1 + int(9 * chance))
    cell = dict.fromkeys(("left", "top", "cell_width", "cell_height"), chance)
    return {"sample": key, **size, **cell, "related": [0, 1]}


def _answer(key: str, chance: float) -> dict[str, object]:
    return {
        **{"sample": key, "prediction": "red", "is_correct": True, "answer_token_id": 3},
        **{"base_probability": (1 + chance) / 2, "noise": 0.0},
    }


@cache
def samples() -> SampleSet:
    asked = MeasurementSettings(tasks=(TASK,), limit="3")
    return Measurements.open(resolve_checkpoint("planted/mini"), asked).samples


def opened(folder: Path, **how: Any) -> Measurements:
    spec, settings = resolve_checkpoint("planted/mini"), MeasurementSettings(cache=folder, **how)
    return Measurements(spec, samples(), settings)


def told(measurements: Measurements) -> dict[str, object]:
    """What a run tells: how many answers were right, and the numbers of both kinds."""
    sweep, blind = measurements.table(TASK, SWEEP), measurements.table(TASK, BLIND)
    return {
        "right": measurements.accuracy(TASK).correct,
        "ids": sweep.question_ids,
        "sweep": sweep.knockout_probability.tolist(),
        "base": sweep.base_probability.tolist(),
        "blind": blind.blind_probability.tolist(),
        "described": measurements.described(),
    }


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, object]:
    found = told(opened(tmp_path / "undisturbed"))
    assert found["right"] == len(found["ids"]) >= 3  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("at", [5, 12])
@pytest.mark.parametrize("kind", ["write-short", "read-flipped", "read-unreadable", "move-unlink"])
def test_a_run_over_a_disk_with_a_fault_ends_like_any_other_or_says_where_it_failed(
    kind: str,
    at: int,
    tmp_path: Path,
    undisturbed: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with faulty(kind, at, seed=at) as fault:
        try:
            assert told(opened(tmp_path / "store")) == undisturbed
            said = caplog.text
        except StoreError as error:
            said = str(error)
    assert fault.hit is None or fault.hit.name in said
    assert told(opened(tmp_path / "store")) == undisturbed


def harmed(monkeypatch: pytest.MonkeyPatch, name: str, times: int) -> list[Path]:
    """Files of the sweep come to harm after `times` calls of a method of the store."""
    plain, hit = getattr(Store, name), list[Path]()

    def called(store: Store, *args: Any, **how: Any) -> None:
        plain(store, *args, **how)
        shard = SWEEP.shard.name
        for path in [*store.folder.glob(f"{shard}*"), *store.folder.glob(f"journal/{shard}*")]:
            if len(hit) < times:
                hit.append(path)
                harm(path, "noise")

    monkeypatch.setattr(Store, name, called)
    return hit


@pytest.mark.parametrize("name", ["append", "compact"])
def test_what_is_lost_before_it_is_read_is_measured_again_in_the_same_run(
    name: str,
    tmp_path: Path,
    undisturbed: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hit = harmed(monkeypatch, name, times=1)
    assert told(opened(tmp_path / "store")) == undisturbed
    assert [path.name in line for path, line in zip(hit, caplog.messages, strict=True)] == [True]


def test_a_store_that_loses_whatever_it_is_given_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harmed(monkeypatch, "compact", times=99)
    with pytest.raises(StoreError, match=r"^a store that keeps what it is given.*3 times.*Choose"):
        opened(tmp_path / "store").table(TASK, SWEEP)


def test_a_file_that_turns_out_to_be_damaged_when_it_is_read_takes_no_sample_away(
    tmp_path: Path, undisturbed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    measurements = opened(tmp_path / "store")
    told(measurements)
    plain: Callable[..., Any] = measurements.stored.table
    calls: list[object] = []

    def table(*args: Any, **how: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            harm(measurements.store.folder / f"{SWEEP.shard.name}.parquet", "noise")
        return plain(*args, **how)

    monkeypatch.setattr(measurements.stored, "table", table)
    assert told(measurements) == undisturbed
    assert len(calls) == 3


def test_a_reader_who_may_not_write_reads_all_that_was_measured(
    tmp_path: Path, undisturbed: dict[str, object], made_up: list[str]
) -> None:
    made_up.clear()
    with read_only():
        for from_cache in (False, True):
            assert told(opened(tmp_path / "undisturbed", from_cache=from_cache)) == undisturbed
    assert not made_up


def test_what_such_a_reader_lacks_is_said_before_anything_is_loaded(
    tmp_path: Path, made_up: list[str]
) -> None:
    opened(tmp_path / "store").accuracy(TASK)
    made_up.clear()
    with read_only():
        with pytest.raises(StoreError, match=r"^a writable measurement store.*Read-only"):
            opened(tmp_path / "store").table(TASK, SWEEP)
        with pytest.raises(StoreError, match=r"^a writable measurement store.*Read-only"):
            _ = opened(tmp_path / "store").checkpoint
    assert not made_up


def test_patches_that_were_lost_are_measured_again_with_the_answers_and_once(
    tmp_path: Path, undisturbed: dict[str, object], made_up: list[str]
) -> None:
    folder = tmp_path / "undisturbed"
    (path,) = folder.glob("*/patches.parquet")
    harm(path, "noise")
    for _ in range(2):
        made_up.clear()
        assert told(opened(folder)) == undisturbed
    assert not made_up


def test_a_sample_that_never_had_patches_is_not_measured_for_them_again_and_again(
    tmp_path: Path,
    undisturbed: dict[str, object],
    made_up: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = measuring.measure

    def measure(*args: Any, **how: Any) -> Iterator[Measured]:
        for measured in plain(*args, **how):
            measured.rows.pop(PATCHES, None)
            yield measured

    monkeypatch.setattr(measuring, "measure", measure)
    (path,) = (tmp_path / "undisturbed").glob("*/patches.parquet")
    harm(path, "noise")
    measurements = opened(tmp_path / "undisturbed")
    made_up.clear()
    for _ in range(3):
        assert measurements.accuracy(TASK).correct == undisturbed["right"]
    assert len(made_up) == 1 + len(undisturbed["ids"])  # type: ignore[arg-type]


@pytest.mark.parametrize("harmed", ["facts.json", "answers.parquet", "sweep*", "patches.parquet"])
def test_from_cache_what_was_lost_is_an_error_and_not_a_smaller_sample(
    harmed: str, tmp_path: Path, undisturbed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    assert undisturbed
    (path,) = (tmp_path / "undisturbed").glob(f"*/{harmed}")
    harm(path, "noise")
    with pytest.raises(StoreError, match=r"measurements that are missing.*--from-cache"):
        told(opened(tmp_path / "undisturbed", from_cache=True))
    assert [path.name in line for line in caplog.messages] == [True]


@pytest.mark.parametrize(
    "facts",
    [
        *({"decoder_layers": layers} for layers in ("3", 0, -1, True, None, [3], 2.5)),
        {"decoder_layers": 3, "self_test": 5},
        {"decoder_layers": 3, "self_test": [{"name": "a", "passed": "yes", "detail": ""}]},
        {"decoder_layers": 3, "self_test": ["fast-path"]},
        {"decoder_layers": 3, "family": {"deep": []}},
    ],
    ids=str,
)
def test_facts_of_other_types_are_learned_again(
    facts: dict[str, object],
    tmp_path: Path,
    undisturbed: dict[str, object],
    made_up: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    measurements = opened(tmp_path / "undisturbed")
    measurements.store.remember(facts)
    made_up.clear()
    assert told(measurements) == undisturbed
    assert made_up == ["loaded"]
    assert ["facts.json" in line for line in caplog.messages] == [True]


def test_rows_of_another_depth_are_an_error_and_not_a_traceback(
    tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    assert undisturbed
    measurements = opened(tmp_path / "undisturbed")
    measurements.store.remember({"decoder_layers": LAYERS + 1, "self_test": []})
    with pytest.raises(StoreError, match=r"^4 values of knockout_probability .* 4 layers, got 3"):
        measurements.table(TASK, SWEEP)


def test_each_fault_is_logged_once(
    tmp_path: Path, undisturbed: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    assert undisturbed
    (path,) = (tmp_path / "undisturbed").glob("*/answers.parquet")
    harm(path, "cut")
    with read_only(), caplog.at_level(logging.WARNING):
        measurements = opened(tmp_path / "undisturbed")
        for _ in range(3):
            with pytest.raises(StoreError, match="a writable measurement store"):
                told(measurements)
    assert ["it is ignored" in line for line in caplog.messages] == [True]

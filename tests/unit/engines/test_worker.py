"""What crosses between whoever deals and whoever measures."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.cli.main import main
from mmflow_bench.engines import ray_session
from mmflow_bench.engines.measuring import clusters_of
from mmflow_bench.engines.stopping import Stop
from mmflow_bench.engines.worker import Recipe, Refusal, Worker
from mmflow_bench.errors import (
    CheckpointError,
    EngineError,
    MMFlowError,
    NoComparison,
    ResourceError,
    StoreError,
)
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings, parse_workers

SWEEP = Sweep.of("image->question", width=1)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker goes where the user stands; the tests after it must not."""
    monkeypatch.chdir(tmp_path)


def recipe_of(opened: Measurements, folder: Path) -> Recipe:
    sign = folder / "sign"
    sign.touch()
    return Recipe(
        checkpoint=CheckpointSettings(models=(opened.name,)),
        measurement=opened.settings,
        folder=folder,
        store=opened.store.folder,
        sign=sign,
    )


def opened_in(cache: Path) -> Measurements:
    settings = MeasurementSettings(
        tasks=("ChooseAttr", "ChooseCat"), limit="2", cache=cache, self_test=False
    )
    return Measurements.open(resolve_checkpoint("planted/mini"), settings)


@pytest.mark.parametrize("kind", [StoreError, CheckpointError, EngineError])
def test_an_error_of_the_domain_is_the_same_on_the_other_side(kind: type[MMFlowError]) -> None:
    found = pickle.loads(pickle.dumps(Refusal.of(kind("expected, got")))).error()
    assert type(found) is kind
    assert str(found) == "expected, got"


@pytest.mark.parametrize(
    "error", [ResourceError("m", reason="out-of-memory"), NoComparison("m"), MMFlowError("m")]
)
def test_an_error_that_takes_more_than_words_is_one_of_the_engine(error: MMFlowError) -> None:
    found = Refusal.of(error).error()
    assert type(found) is EngineError
    assert str(found) == "m"


def test_a_refusal_makes_no_object_of_a_name_that_is_no_error() -> None:
    assert type(Refusal("Path", "m").error()) is EngineError
    assert type(Refusal("__loader__", "m").error()) is EngineError


def test_a_worker_measures_what_a_process_alone_would(tmp_path: Path) -> None:
    here, there = opened_in(tmp_path / "here"), opened_in(tmp_path / "there")
    for task in here.tasks:
        here.ensure(task, [SWEEP])
    worker = Worker(pickle.loads(pickle.dumps(recipe_of(there, tmp_path))))
    assert worker.load() is None
    for cluster in clusters_of(
        [job for task in there.tasks for job in there.missing(task, [SWEEP])]
    ):
        assert worker.measure(*pickle.loads(pickle.dumps(tuple(cluster)))) is None
    for task in there.tasks:
        there.settle(task, ())
        assert not there.missing(task, [SWEEP])
    stores = [
        {path.name: path.read_bytes() for path in one.store.folder.glob("*.parquet")}
        for one in (here, there)
    ]
    assert stores[0] == stores[1]
    assert len(stores[0]) == 3


def test_a_worker_that_does_not_see_the_store_says_so(tmp_path: Path) -> None:
    recipe = recipe_of(opened_in(tmp_path), tmp_path)
    refusal = Worker(replace(recipe, sign=tmp_path / "elsewhere")).load()
    assert refusal is not None
    assert isinstance(refusal.error(), StoreError)
    assert "a store that every worker writes to" in refusal.message


def test_a_worker_with_another_store_says_so(tmp_path: Path) -> None:
    recipe = recipe_of(opened_in(tmp_path), tmp_path)
    refusal = Worker(replace(recipe, store=tmp_path / "other")).load()
    assert refusal is not None
    assert "the same versions" in refusal.message


def test_a_checkpoint_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    recipe = recipe_of(opened_in(tmp_path), tmp_path)
    unknown = replace(recipe, checkpoint=CheckpointSettings(models=("planted/minni",)))
    refusal = Worker(unknown).load()
    assert refusal is not None
    assert isinstance(refusal.error(), CheckpointError)


def test_a_first_signal_is_remembered_and_a_second_one_ends_at_once() -> None:
    with Stop() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop
        assert stop.exit_code == 143
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.exit_code == 130


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session.importlib.util, "find_spec", lambda _: None)
    with (
        pytest.raises(EngineError, match=r'pip install "mmflow-bench\[scale\]"'),
        ray_session.connected(None, cpus=1),
    ):
        pass


def test_an_engine_needs_a_store_and_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got --mmflow-cache=off"):
        MeasurementSettings(engine="ray")
    with pytest.raises(ValueError, match="drop one"):
        MeasurementSettings(engine="ray", cache=tmp_path, from_cache=True)


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "9" * 5000])
def test_a_number_of_workers_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--workers takes `auto` or a positive whole number"):
        parse_workers(text)
    assert parse_workers("auto") is None


def test_a_command_refuses_an_engine_that_nobody_has() -> None:
    found = CliRunner().invoke(main, ["measure", "--engine=dask"])
    assert found.exit_code == 2
    assert "'local', 'ray'" in found.stderr

"""A fleet of real Ray actors: what is left in the store is what one process would have left.

Two nodes on this machine; samples note which process opens their images, so that what is measured
twice can be counted.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import watched_images
from fleets import (
    COMMAND,
    NODE,
    PATIENCE,
    WORKERS,
    beside,
    measure,
    opened,
    processes_with,
    ray_cluster,
    stored,
    wait_until,
)
from watched_images import is_of, opened_by_workers, watched_questions, workers_seen

from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.engines import fleet
from mmflow_bench.engines.dealing import DEATHS, MOST_SAMPLES
from mmflow_bench.engines.fleet import IN_HAND
from mmflow_bench.engines.measuring import WORKER_DIED, Stopped, engine_of
from mmflow_bench.errors import EngineError, StoreError
from mmflow_bench.measurements.sharding import Slice
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.mechanisms.rounds import decided
from mmflow_bench.reports.progress import MeasuringBar

pytestmark = pytest.mark.slow

PER_TASK = 8
KILLS = int(os.environ.get("MMFLOW_KILLS", "3"))
"""Workers that are killed at random moments; a hundred take minutes."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without workers and two nodes with one each."""
    with ray_cluster(nodes=WORKERS) as found:
        yield found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves in the store."""
    folder = tmp_path_factory.mktemp("plain")
    measure(opened(folder / "cache", watched_questions(folder, per_task=PER_TASK)))
    return stored(folder / "cache")


def test_two_workers_leave_the_same_bytes_and_open_each_image_once(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path
) -> None:
    questions = watched_questions(tmp_path, per_task=PER_TASK, seconds=0.2)
    measure(opened(tmp_path / "cache", questions, cluster.address))
    assert stored(tmp_path / "cache") == plain
    assert set(opened_by_workers(tmp_path).values()) == {1}
    assert len(opened_by_workers(tmp_path)) == 2 * PER_TASK
    assert len(set(workers_seen(tmp_path))) == WORKERS
    # Nothing is missing, so that nobody is asked.
    (tmp_path / "log").unlink()
    measure(opened(tmp_path / "cache", questions, "no-such-host:1"))
    assert not opened_by_workers(tmp_path)
    assert not list((tmp_path / "cache").glob("*/*.fleet"))


def test_a_worker_that_hangs_holds_nobody_up(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before the tests that take nodes away: with one worker there is nobody else.
    monkeypatch.setattr(fleet, "LEAST_WAIT", 1.0)
    # Opened by the second piece that is dealt, or by the third.
    questions = watched_questions(tmp_path, per_task=PER_TASK, hanging=[3])
    began = time.monotonic()
    measure(opened(tmp_path / "cache", questions, cluster.address))
    assert time.monotonic() - began < watched_images.HANGS / 2
    assert stored(tmp_path / "cache") == plain
    assert max(opened_by_workers(tmp_path).values()) == 2


def test_workers_killed_at_random_moments_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    draw, seconds, per_task = random.Random(7), 0.3, PER_TASK * KILLS // 3
    questions = watched_questions(tmp_path, per_task=per_task, seconds=seconds)
    measure(opened(tmp_path / "plain", questions))
    ended, killed = threading.Event(), set()

    def kill() -> None:
        while len(killed) < KILLS and not ended.is_set():
            alive = sorted(set(workers_seen(tmp_path)) - killed)
            # So long that about all is measured until the last one is killed.
            time.sleep(draw.uniform(0, 4 * per_task * seconds / KILLS) if alive else 0.02)
            if alive and not ended.is_set():
                killed.add(worker := draw.choice(alive))
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    with beside(kill):
        measurements = opened(tmp_path / "cache", questions, cluster.address)
        measure(measurements)
        ended.set()
    assert killed
    assert stored(tmp_path / "cache") == stored(tmp_path / "plain")
    again = opened_by_workers(tmp_path).total() - 2 * per_task
    assert again <= len(killed) * MOST_SAMPLES * IN_HAND
    assert not measurements.accuracy("ChooseAttr").unscored


def test_nodes_that_are_lost_and_one_that_comes(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path
) -> None:
    questions = watched_questions(tmp_path, per_task=PER_TASK, seconds=0.2)
    before: set[int] = set()

    def change(_: str, done: int, *__: object) -> None:
        if done and not before:
            before.update(workers_seen(tmp_path))
            for node in set(cluster.list_all_nodes()) - {cluster.head_node}:
                cluster.remove_node(node, allow_graceful=False)
            cluster.add_node(**NODE)

    measurements = opened(tmp_path / "cache", questions, cluster.address)
    measure(measurements, progress=change)
    assert before
    assert set(workers_seen(tmp_path)) - before
    assert stored(tmp_path / "cache") == plain
    assert not measurements.accuracy("ChooseAttr").unscored


def test_a_sample_that_kills_is_counted_with_its_reason_and_all_others_are_measured(
    cluster: Any, tmp_path: Path
) -> None:
    questions = watched_questions(tmp_path, per_task=PER_TASK, deadly=[3])
    measurements = opened(tmp_path / "cache", questions, cluster.address)
    measure(measurements)
    assert measurements.accuracy("ChooseAttr").unscored == {WORKER_DIED: 1}
    assert not measurements.accuracy("ChooseCat").unscored
    assert "look at the memory of the nodes" in measurements.messages(limit=1)[0]
    deadly = questions.samples[3]
    deaths = {
        place: count for place, count in opened_by_workers(tmp_path).items() if is_of(deadly, place)
    }
    assert max(deaths.values()) <= DEATHS + 2
    kept = measurements.stored.kept("ChooseAttr")
    assert {one.question_id for one in kept} == {
        one.question_id for one in questions.samples[:PER_TASK] if one is not deadly
    }
    # As much as it has cost, it is not tried again.
    before = opened_by_workers(tmp_path)
    measure(opened(tmp_path / "cache", questions, cluster.address))
    assert opened_by_workers(tmp_path) == before


def test_a_fleet_ends_when_all_is_decided_as_one_process_does(cluster: Any, tmp_path: Path) -> None:
    questions = watched_questions(tmp_path, per_task=4 * PER_TASK)
    chosen = chosen_tests(patterns=["q-last-drop", "acc-95"])
    checkpoint = CheckpointSettings(models=("planted/mini",))
    for name, address in {"plain": None, "fleet": cluster.address}.items():
        measurements = opened(tmp_path / name, questions, address)
        with engine_of(
            checkpoint, measurements.settings, measurements, progress=lambda *_: None
        ) as engine:
            engine.load() if address else measurements.checkpoint
            looking = decided(
                chosen,
                measurements,
                alpha=0.05,
                measure=engine.measure,
                bar=MeasuringBar(None),
                tell=lambda _: None,
            )
        reached, of = looking.reached()
        assert 0 < reached < of
    assert workers_seen(tmp_path)
    assert stored(tmp_path / "fleet") == stored(tmp_path / "plain")


def test_ctrl_c_finishes_what_is_in_hand_and_the_next_run_goes_on(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path
) -> None:
    questions = watched_questions(tmp_path, per_task=PER_TASK, seconds=0.3)

    def interrupt() -> None:
        wait_until(lambda: len(workers_seen(tmp_path)) >= 2)
        os.kill(os.getpid(), signal.SIGINT)

    with beside(interrupt), pytest.raises(Stopped) as stopped:
        measure(opened(tmp_path / "cache", questions, cluster.address))
    assert stopped.value.exit_code == 128 + signal.SIGINT
    begun = opened_by_workers(tmp_path)
    assert 0 < len(begun) < 2 * PER_TASK
    answered = opened(tmp_path / "cache", questions).stored.answered()
    assert len(answered) == len(begun)
    measure(opened(tmp_path / "cache", questions, cluster.address))
    assert stored(tmp_path / "cache") == plain
    assert set(opened_by_workers(tmp_path).values()) == {1}


def test_shards_that_are_measured_by_fleets_and_repeated_are_the_whole(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path
) -> None:
    questions = watched_questions(tmp_path, per_task=PER_TASK)
    for number in (2, 1, 2):
        measurements = opened(tmp_path / "cache", questions, cluster.address)
        measure(measurements, part=Slice(number=number, of=2))
    assert stored(tmp_path / "cache") == plain
    assert set(opened_by_workers(tmp_path).values()) == {1}


def test_a_full_disk_ends_the_run_and_what_was_measured_is_kept(
    cluster: Any, plain: dict[str, bytes], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mount a file system of its own: needs the right to do so")
    questions = watched_questions(tmp_path, per_task=PER_TASK)
    try:
        with pytest.raises(StoreError, match="a writable measurement store with free space"):
            measure(opened(disk / "cache", questions, cluster.address))
        kept = opened(disk / "cache", questions).stored.answered()
        assert 0 < len(kept) < 2 * PER_TASK
        shutil.copytree(disk / "cache", tmp_path / "cache")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    measure(opened(tmp_path / "cache", questions, cluster.address))
    assert stored(tmp_path / "cache") == plain


def test_workers_that_all_die_while_they_load_end_the_run(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmflow_bench.engines.ray_fleet import FAILED_STARTS, RayFleet

    monkeypatch.setattr(RayFleet, "kind", watched_images.DiesLoading)
    questions = watched_questions(tmp_path, per_task=1)
    with pytest.raises(EngineError, match=f"got {FAILED_STARTS} one after the other that died"):
        measure(opened(tmp_path / "cache", questions, cluster.address))


def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path) -> None:
    questions = watched_questions(tmp_path, per_task=1)
    with pytest.raises(EngineError, match="a Ray cluster that can be reached"):
        measure(opened(tmp_path / "cache", questions, "127.0.0.1:1"))


MEASURE = [*COMMAND, "--model=planted/mini", "--limit=4"]


def test_the_command_makes_a_cluster_of_its_own_and_leaves_no_process(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    environment = os.environ | {"MARK": mark, "OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    for name, options in {"here": [], "ray": ["--engine=ray", "--workers=2"]}.items():
        environment["MMFLOW_CACHE"] = str(tmp_path / name)
        ended = subprocess.run(
            [*MEASURE, *options], env=environment, capture_output=True, text=True, check=True
        )
        assert ended.stdout.startswith("ChooseAttr: ")
        assert len(ended.stdout.splitlines()) == 1
        assert "ray" not in ended.stderr.lower()
    assert stored(tmp_path / "ray") == stored(tmp_path / "here")
    wait_until(lambda: not processes_with(mark))


def test_a_command_that_is_asked_to_end_finishes_what_it_is_at(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    environment = os.environ | {"MARK": mark, "MMFLOW_CACHE": str(tmp_path)}
    environment.pop("RAY_ADDRESS", None)
    command = [*MEASURE, "--limit=30", "--engine=ray", "--workers=1"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: list(tmp_path.glob("*/journal/answers*")) or child.poll() is not None)
        child.terminate()
        _, said = child.communicate(timeout=PATIENCE)
    assert child.returncode == 128 + signal.SIGTERM, said
    assert "every sample that was measured is kept" in said
    assert list(tmp_path.glob("*/answers.parquet"))
    wait_until(lambda: not processes_with(mark))

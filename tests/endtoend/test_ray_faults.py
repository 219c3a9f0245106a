"""Faults of a real Ray cluster itself: its head is lost, its object store full, its clocks wrong.

Whatever happens, the store ends as one process leaves it.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import watched_images
from fleets import (
    COMMAND,
    HEAD,
    NODE,
    PATIENCE,
    ROOM,
    SWEEP,
    WORKERS,
    measure,
    opened,
    ray_cluster,
    stored,
    wait_until,
)
from PIL import Image
from watched_images import watched_questions

from mmflow_bench.errors import EngineError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements.tables import sweep_rows
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow

PER_TASK = 8
MINI = ("--model=planted/mini", "--limit=20")
# Objects that are in use can neither be moved to a disk nor forgotten.
HOG = """
import sys, numpy, ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

@ray.remote(num_cpus=0)
class Hog:
    def fill(self):
        self.held = []
        for size in (2**22, 2**20, 2**17):
            try:
                while len(self.held) < 1000:
                    self.held.append(ray.get(ray.put(numpy.ones(size, numpy.uint8))))
            except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError):
                pass
        return sum(one.nbytes for one in self.held)

ray.init(address=sys.argv[1], log_to_driver=False)
nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
hogs = [Hog.options(scheduling_strategy=On(one, soft=False)).remote() for one in nodes]
print(*ray.get([hog.fill.remote() for hog in hogs]), flush=True)
sys.stdin.read()
"""


def environment(cache: Path) -> dict[str, str]:
    return os.environ | {"MMFLOW_CACHE": str(cache), "OMP_NUM_THREADS": "1"}


def run(cache: Path, *options: str) -> dict[str, bytes]:
    """What the command leaves in a store."""
    given = environment(cache)
    ended = subprocess.run(
        [*COMMAND, *options], env=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return stored(cache)


@contextmanager
def started(cache: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command at work; it has ended after the block, however that ends."""
    given = environment(cache)
    with subprocess.Popen(
        [*COMMAND, *options], env=given, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def answers_in(cache: Path) -> list[Path]:
    """What was measured and is not merged yet."""
    return list(cache.glob("*/journal/answers*"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


@contextmanager
def stopped_workers(node: Any) -> Iterator[None]:
    """A block in which the workers of a node do not move, so that nobody comes to an end."""
    (raylet,) = node.all_processes["raylet"]
    children = psutil.Process(raylet.process.pid).children()
    workers = [one for one in children if "ray::Worker" in "".join(one.cmdline())]
    assert workers
    try:
        for worker in workers:
            worker.suspend()
        yield
    finally:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


def restart(cluster: Any, port: int) -> None:
    """Another head at the same address, and another node."""
    for node in cluster.list_all_nodes():
        cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**HEAD, gcs_server_port=port)
    cluster.add_node(**NODE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process leaves in the store."""
    return run(tmp_path_factory.mktemp("plain"), *MINI)


# Ray gives up sooner than a minute later, but not before it was looked whether there is a head.
@pytest.mark.parametrize(
    ("is_machine_lost", "patience"),
    [(False, "20"), (True, "5")],
    ids=["its-services", "its-machine"],
)
def test_a_head_that_is_lost_ends_the_command_which_goes_on_with_the_next_head(
    is_machine_lost: bool,
    patience: str,
    plain: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", patience)
    cache = tmp_path / "ray"
    with ray_cluster(nodes=1, gcs_server_port=(port := free_port())) as cluster:
        spread = ("--engine=ray", f"--address={cluster.address}", "--workers=1")
        with started(cache, *MINI, *spread) as child:
            wait_until(lambda: answers_in(cache) or child.poll() is not None)
            (node,) = cluster.worker_nodes
            with stopped_workers(node):
                assert child.poll() is None, child.communicate()[1]
                if is_machine_lost:
                    cluster.remove_node(cluster.head_node, allow_graceful=False)
                else:
                    cluster.head_node.kill_gcs_server()
                _, said = child.communicate(timeout=PATIENCE)
        assert child.returncode != 0
        # Where its own machine is lost too, Ray may end the command at once.
        assert is_machine_lost or "the head of the Ray cluster does not answer" in said
        assert answers_in(cache)
        restart(cluster, port)
        found = run(cache, *MINI, *spread)
    assert found == plain


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose objects cannot be put on a disk instead."""
    config = {"automatic_object_spilling_enabled": False, "local_fs_capacity_threshold": 0.0}
    with ray_cluster(nodes=WORKERS, _system_config=config) as found:
        yield found


@contextmanager
def full(cluster: Any) -> Iterator[None]:
    """A block in which somebody else holds all that there is room for on each node."""
    command = [sys.executable, "-c", HOG, cluster.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hog:
        assert hog.stdout is not None
        held = [int(word) for word in hog.stdout.readline().split()]
        assert len(held) == WORKERS + 1
        assert all(ROOM - 2**18 < one <= ROOM for one in held)
        yield
        assert hog.poll() is None


def test_an_object_store_that_is_full_keeps_no_fleet_from_measuring(
    cluster: Any, tmp_path: Path
) -> None:
    # Of these, a piece is larger than what Ray sends without room for it.
    asked = ("--model=planted/base", "--limit=12")
    with full(cluster):
        spread = ("--engine=ray", f"--address={cluster.address}", "--workers=1")
        found = run(tmp_path / "ray", *asked, *spread)
    assert found == run(tmp_path / "here", *asked)


def test_a_picture_that_takes_room_in_a_full_object_store_ends_the_run_with_a_word(
    cluster: Any, tmp_path: Path
) -> None:
    noise = Image.frombytes("RGB", (400, 400), random.Random(1).randbytes(400 * 400 * 3))
    samples = [replace(one, image=noise) for one in scene_samples(per_task=2)]
    questions = QuestionFile(samples=tuple(samples), unscored=(), fingerprint="large")
    with full(cluster), pytest.raises(EngineError, match=r"room in Ray's object store .* free it"):
        measure(opened(tmp_path / "ray", questions, cluster.address))


def test_workers_whose_clocks_are_hours_off_leave_the_same_bytes(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmflow_bench.engines.ray_fleet import RayFleet

    monkeypatch.setattr(RayFleet, "kind", watched_images.WrongClock)
    questions = watched_questions(tmp_path, per_task=PER_TASK, seconds=0.1)
    measure(opened(tmp_path / "here", questions))
    measure(opened(tmp_path / "ray", questions, cluster.address))
    assert stored(tmp_path / "ray") == stored(tmp_path / "here")
    clocks = [line.split() for line in (tmp_path / "ray" / "clocks").read_text().splitlines()]
    assert len({hours for hours, _ in clocks}) == WORKERS
    assert sum(int(files) for _, files in clocks) > 0
    reading = opened(tmp_path / "ray", questions, from_cache=True)
    table = sweep_rows(reading, edges=["image->question"], method="masked", width=SWEEP.width)
    assert set(table["question_id"].to_pylist()) == {one.question_id for one in questions.samples}

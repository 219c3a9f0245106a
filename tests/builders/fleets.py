"""A real cluster of Ray on this machine, and what `mmflow measure` does with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import watched_images

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.engines.measuring import engine_of
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements, Progress
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.sharding import Slice
from mmflow_bench.mechanisms.measuring import Planned
from mmflow_bench.mechanisms.rounds import Round, rounds_of, slice_of

SWEEP = Sweep.of("image->question", width=1)
WORKERS = 2
PATIENCE = 120
ROOM = 80 * 2**20
"""Bytes for objects on a node; Ray takes no less."""
HEAD = {"num_cpus": 0, "object_store_memory": ROOM, "include_dashboard": False}
NODE = {"num_cpus": 1, "object_store_memory": ROOM}
COMMAND = [
    *(sys.executable, "-m", "mmflow_bench.cli", "measure", "--tasks=ChooseAttr"),
    *("--no-self-test", "--mechanisms=q-last-drop"),
]
"""Measures little, of whatever checkpoint."""


@contextmanager
def ray_cluster(*, nodes: int, **head: object) -> Iterator[Any]:
    """A head without workers, and nodes with room for one each."""
    ray = pytest.importorskip("ray", reason='pip install "mmflow-bench[scale]"')
    from ray.cluster_utils import Cluster

    # Workers cannot import it from where tests do.
    ray.cloudpickle.register_pickle_by_value(watched_images)

    # A node takes the signal for itself, and keeps it when it is gone.
    before = signal.getsignal(signal.SIGTERM)
    # Workers as urgent as this process: on a machine with other work they would wait for ever.
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
    found = Cluster(initialize_head=True, head_node_args=HEAD | head)
    try:
        for _ in range(nodes):
            found.add_node(**NODE)
        yield found
    finally:
        found.shutdown()
        signal.signal(signal.SIGTERM, before)


def opened(
    cache: Path,
    questions: QuestionFile,
    address: str | None = None,
    *,
    from_cache: bool = False,
) -> Measurements:
    settings = MeasurementSettings(
        cache=cache,
        self_test=False,
        engine="ray" if address else "local",
        address=address,
        workers=WORKERS,
        from_cache=from_cache,
    )
    checkpoint = resolve_checkpoint("planted/mini")
    return Measurements(checkpoint, SampleSet(questions), settings)


def measure(
    measurements: Measurements,
    *,
    part: Slice | None = None,
    progress: Progress = lambda *_: None,
) -> list[Round]:
    """As `mmflow measure` does."""
    checkpoint = CheckpointSettings(models=("planted/mini",))
    settings = measurements.settings
    with engine_of(checkpoint, settings, measurements, progress=progress) as engine:
        if not measurements.provenance:
            engine.load()
        planned = dict.fromkeys(measurements.tasks, Planned((SWEEP,), ()))
        rounds = rounds_of(measurements, planned)
        if part is not None:
            rounds = slice_of(rounds, part)
        for one in rounds:
            engine.measure(one)
    return rounds


def stored(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.glob("*/*.parquet")}


@contextmanager
def beside(action: Any, *arguments: object) -> Iterator[None]:
    """An action in a thread of its own while a block runs; it has ended when the block has."""
    thread = threading.Thread(target=action, args=arguments, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive()


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes_with(mark: str) -> dict[int, str]:
    """Processes that were started with this in their environment, and what they are."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and mark in (folder / "environ").read_text(errors="replace"):
                line = (folder / "cmdline").read_text().replace("\0", " ")[:80]
                found[int(folder.name)] = line
        except OSError:
            continue
    return found

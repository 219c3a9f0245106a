"""Processes that write one store at a URL and are killed at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shared_writer
from shared_writer import IDENTITY, READY, SHARDS, write

from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.shared import store_at
from mmflow_bench.store.store import Store

SAMPLES = 60
KILLS = 20


def started(url: str, front: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, shared_writer.__file__, url, str(front), str(SAMPLES)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == READY, process.communicate()[1]
    return process


@pytest.mark.slow
def test_what_processes_measure_that_are_killed_at_random_is_all_there(tmp_path: Path) -> None:
    url, chance = f"file://{tmp_path}/disk", random.Random(0)
    killed = 0
    for _ in range(KILLS // 2):
        # Two at a time, who may share a machine.
        fronts = (tmp_path / "one", tmp_path / chance.choice(("one", "two")))
        processes = [started(url, front) for front in fronts]
        for process in processes:
            time.sleep(chance.uniform(0.0, 0.3))
            killed += process.poll() is None
            process.kill()
            process.communicate()
    assert killed
    for machine in ("one", "two", "three"):
        write(StoreAddress.parse(url, beside=tmp_path / machine), SAMPLES)
    write(tmp_path / "plain", SAMPLES)
    plain = Store(tmp_path / "plain", IDENTITY)
    for machine in ("one", "two", "three"):
        found = store_at(StoreAddress.parse(url, beside=tmp_path / machine), IDENTITY)
        assert all(found.read(shard).equals(plain.read(shard)) for shard in SHARDS)
        assert not list((found.folder / "outbox").glob("*.pack"))
        assert not (found.folder / "damaged").exists()
    assert not list((tmp_path / "disk").rglob("damaged/*"))

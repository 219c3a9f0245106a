"""A run killed in the middle: nothing finished is measured twice, and the tables do not tell."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SWEEP = [
    *(sys.executable, "-m", "mmflow_bench.cli", "sweep", "--model=planted/mini", "--limit=4"),
    "--edges=image->question,question->last",
]


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"MMFLOW_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def sweep(folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    output = folder / "table.parquet"
    command = [*SWEEP, f"--output={output}"]
    subprocess.run(command, env=environment(folder), check=True, capture_output=True)
    return output.read_bytes()


def journal(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*/journal/sweep.*.parquet"))


def shards(folder: Path) -> dict[str, bytes]:
    found = (folder / "cache").glob("*/*.parquet")
    return {path.name: path.read_bytes() for path in found}


def killed_sweep(folder: Path) -> dict[Path, int]:
    """Start a sweep, kill it once samples are stored, and say which files were written when."""
    folder.mkdir()
    process = subprocess.Popen(
        [*SWEEP, f"--output={folder / 'table.parquet'}"],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(journal(folder)) < 4 and time.monotonic() < deadline:
        assert process.poll() is None, "the sweep ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert not (folder / "table.parquet").exists()
    return {path: path.stat().st_mtime_ns for path in journal(folder)}


def test_a_killed_sweep_resumes_and_gives_the_same_bytes(tmp_path: Path) -> None:
    uninterrupted = sweep(tmp_path / "whole")
    killed = tmp_path / "killed"
    written = killed_sweep(killed)
    assert written
    resumed = sweep(killed)
    assert resumed == uninterrupted
    assert shards(killed) == shards(tmp_path / "whole")


def test_a_second_sweep_writes_nothing_new(tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    first = sweep(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*/*.parquet")}
    assert sweep(folder) == first
    after = {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*/*.parquet")}
    assert after == before

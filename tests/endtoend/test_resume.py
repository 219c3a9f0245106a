"""A run killed in the middle: nothing finished is measured twice, and the tables do not tell."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings

SWEEP = [
    *(sys.executable, "-m", "mmflow_bench.cli", "sweep", "--model=planted/mini", "--limit=3"),
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


class Killed(BaseException):
    """Ends a run between two files, wherever it is."""


def measured_shards(folder: Path) -> dict[str, bytes]:
    measurements = Measurements.open(
        resolve_checkpoint("planted/mini"),
        MeasurementSettings(
            tasks=("ChooseAttr",), limit="1", cache=folder / "cache", self_test=False
        ),
    )
    wanted = [Sweep.of("image->question", width=1), Lens(probe="answer", variant="raw")]
    wanted.append(Blind(blinding=Blinding.REMOVED))
    measurements.ensure("ChooseAttr", wanted)
    return shards(folder)


def test_a_run_killed_between_any_two_files_of_a_sample_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured_shards(tmp_path / "whole")
    # The answer, the sweep, the lens, the answer without the image, and the patches.
    assert len(whole) == 5
    put = os.replace
    for kept in range(len(whole)):
        folder, written = tmp_path / str(kept), []

        def replace(source: Path, target: Path, kept: int = kept, written: list = written) -> None:
            if target.parent.name == "journal":
                if len(written) == kept:
                    raise Killed
                written.append(target)
            put(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            with pytest.raises(Killed):
                measured_shards(folder)
        assert measured_shards(folder) == whole


@pytest.mark.slow
def test_a_killed_sweep_resumes_and_gives_the_same_bytes(tmp_path: Path) -> None:
    uninterrupted = sweep(tmp_path / "whole")
    killed = tmp_path / "killed"
    written = killed_sweep(killed)
    assert written
    resumed = sweep(killed)
    assert resumed == uninterrupted
    assert shards(killed) == shards(tmp_path / "whole")


@pytest.mark.slow
def test_a_second_sweep_writes_nothing_new(tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    first = sweep(folder)
    before = {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*/*.parquet")}
    assert sweep(folder) == first
    after = {path: path.stat().st_mtime_ns for path in (folder / "cache").glob("*/*.parquet")}
    assert after == before

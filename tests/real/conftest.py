"""The commands as a user types them, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def command() -> Run:
    """`command("mmflow", "sweep", ..., cache=FOLDER)`, run in the checkout."""

    def run(name: str, *arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
        module = {"mmflow": "mmflow_bench.cli", "pytest": "pytest"}[name]
        # One thread: small matrices are slower on several, and the order of sums stays the same.
        environment = os.environ | {"MMFLOW_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run

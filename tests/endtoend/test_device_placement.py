"""No tensor of the processor meets one of an accelerator, on a device that does not exist.

It is there for the whole process that asks for it, and so has one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RIGHT = ("a number", "by indices", "moved", "back", "copied", "looked at", "made there")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told() -> Any:
    builders = ROOT / "tests" / "builders"
    paths = [ROOT, builders, ROOT / "benchmarks"]
    command = [sys.executable, "-W", "ignore", str(builders / "placed.py")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    found = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert not found.returncode, found.stderr[-3000:]
    return json.loads(found.stdout.splitlines()[-1])


def test_what_an_accelerator_refuses_is_refused(told: Any) -> None:
    refused = [name for name, why in told["operations"].items() if why]
    assert refused == [name for name in told["operations"] if name not in RIGHT]
    assert "aten::add on made_up:0" in told["operations"]["a sum"]


def test_everything_is_measured_there_as_on_the_processor(told: Any) -> None:
    found = dict(told["differences"])
    assert told["wants"] > 90
    # Times are taken on an accelerator alone; the processor has a row that says so instead.
    assert found.pop("removal-time") == found.pop("unscored") == float("inf")
    assert len(found) > 70
    assert {name: by for name, by in found.items() if by > 1e-5} == {}


def test_a_hook_that_brings_a_tensor_of_the_processor_is_caught(told: Any) -> None:
    assert "aten::add on made_up:0, got tensors of the processor" in told["hook_of_the_processor"]
    assert told["hook_of_the_device"] == ""

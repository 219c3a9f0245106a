"""Wrong inputs at random: no traceback, no hang, nothing wrong is accepted.

A few of each kind, always the same; README.md beside this file says how to try more.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from targets import TARGETS, Material, make_material

pytestmark = [pytest.mark.fuzz, pytest.mark.slow]

CORPUS = Path(__file__).parent / "corpus" / "seeds.json"
MINUTES = float(os.environ.get("MMFLOW_FUZZ_MINUTES", "0"))
ONLY = os.environ.get("MMFLOW_FUZZ_ONLY", "")
SEED = int(os.environ.get("MMFLOW_FUZZ_SEED", "0"))
FEW = 8
"""Inputs of each kind where no time is given."""
SHOWN = 20


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    # A forked process has none of its parent's threads, and would wait for them.
    torch.set_num_threads(1)
    return make_material(tmp_path_factory.mktemp("material"))


def seeds(target: str) -> Iterator[str]:
    """Those that have found something once, then new ones for as long as was asked for."""
    if ONLY:
        kind, _, seed = ONLY.partition("/")
        yield from [seed] if kind == target else []
        return
    yield from json.loads(CORPUS.read_text()).get(target, ())
    share = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) / len(TARGETS)
    end, count = time.monotonic() + 60 * MINUTES * min(1.0, share), 0
    while time.monotonic() < end if MINUTES else count < FEW:
        yield f"{SEED}-{count}"
        count += 1


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_wrong_is_accepted(target: str, material: Material, tmp_path: Path) -> None:
    complaints, attempts = {}, 0
    for attempts, seed in enumerate(seeds(target), start=1):  # noqa: B007
        folder = tmp_path / "attempt"
        folder.mkdir()
        if complaint := TARGETS[target](random.Random(f"{target}/{seed}"), folder, material):
            complaints[seed] = complaint
        shutil.rmtree(folder)
    print(f"{target}: {attempts} inputs, {len(complaints)} complaints")
    shown = [f"{seed}: {complaint}" for seed, complaint in list(complaints.items())[:SHOWN]]
    assert not complaints, f"{len(complaints)} of {attempts} inputs of {target}:\n" + "\n".join(
        shown
    )

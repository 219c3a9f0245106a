"""Which of a run's processes this one is: xdist's controller, one of its workers, or the only one.

Light, because the hooks that start workers run in every project.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

WORKER_INPUT = "mmflow_run"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What tells a run from all others; the same in each of its processes."""

    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"))
    """UTC, as in the name of the run folder."""


IDENTITY = pytest.StashKey[RunIdentity]()


def identity_of(config: pytest.Config) -> RunIdentity:
    """The identity of this run; a worker takes over the controller's."""
    if IDENTITY not in config.stash:
        given = getattr(config, "workerinput", {}).get(WORKER_INPUT, {})
        config.stash[IDENTITY] = RunIdentity(**given)
    return config.stash[IDENTITY]


def pass_on_identity(node: WorkerController) -> None:
    """Tell a worker which run it belongs to, so that all workers write to one run folder."""
    node.workerinput[WORKER_INPUT] = asdict(identity_of(node.config))


def worker_of(config: pytest.Config) -> str | None:
    """The id of this xdist worker, or None in a process that reports."""
    workerinput = getattr(config, "workerinput", None)
    return str(workerinput["workerid"]) if workerinput else None


def accelerators() -> list[str]:
    """Names of the visible CUDA devices, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    driver = Path("/proc/driver/nvidia/gpus")
    return [str(i) for i, _ in enumerate(driver.iterdir())] if driver.is_dir() else []


def choose_accelerator(worker: str | None, device: str) -> None:
    """Give each worker an accelerator of its own; must come before CUDA is used.

    Args:
        worker: Its number, or its name with xdist (`gw3`); None where there is but one.
        device: What the user has chosen.
    """
    devices = accelerators()
    number = (worker or "").removeprefix("gw")
    if devices and number.isdecimal() and device in {"auto", "cuda"}:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[int(number) % len(devices)]

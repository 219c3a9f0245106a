"""What torch computes on, and with how many threads."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from mmflow_bench.errors import CheckpointError

DRIVER = Path("/proc/driver/nvidia")
NARROW = 512
"""Hidden size up to which one thread is faster than several, whose hand-overs cost more."""


def spare_threads(device: str, hidden_size: int) -> None:
    """Let a narrow decoder run on one processor thread, unless the user has chosen otherwise.

    A knockout of a narrow decoder is thousands of operations of microseconds each; waking a second
    thread for every one of them makes it slower, and many times so when another process has the
    core (xdist, a shared machine).
    """
    chosen = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} & os.environ.keys()
    if device == "cpu" and hidden_size <= NARROW and not chosen:
        torch.set_num_threads(1)


def require_device(device: str) -> None:
    """Refuse a device that is not here, before anything is put on it.

    Raises:
        CheckpointError: It is none of those that torch sees.
    """
    kinds = (("cuda", torch.cuda.device_count()), ("xpu", torch.xpu.device_count()))
    here = ["cpu", *(f"{kind}:{i}" for kind, count in kinds for i in range(count))]
    here += ["mps"] if torch.backends.mps.is_available() else []
    if device not in here and f"{device}:0" not in here:
        raise CheckpointError(
            f"a device that is here ({', '.join(here)}), got {device!r}; leave out --device "
            "(--mmflow-device in pytest) to take the best one"
        )


def torch_build() -> str:
    """The version of torch, and what it was built for."""
    kinds = {"CUDA": torch.version.cuda, "ROCm": torch.version.hip}
    built = [f"{kind} {version}" for kind, version in kinds.items() if version]
    return f"{torch.__version__} ({', '.join(built) or 'no CUDA'})"


def is_driver_unused() -> bool:
    """Whether there is an NVIDIA driver that this torch was not built for."""
    return DRIVER.exists() and not torch.version.cuda


def hardware() -> dict[str, object]:
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"threads": torch.get_num_threads(), "accelerators": names}

"""What torch computes on, and with how many threads."""

from __future__ import annotations

import os

import torch

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


def hardware() -> dict[str, object]:
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"threads": torch.get_num_threads(), "accelerators": names}

"""What foreign files make a program do, tried out where it can do no harm: in a child process.

A chat template may loop for ever, a tokenizer's pattern may backtrack for ever, an image processor
may ask for a picture of a terabyte, and a library may die of any of them. None of that can be told
from the files, and within this process none of it could be stopped.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.errors import CheckpointError

SECONDS = 15
"""Of computing, whatever else the machine does; a slow one takes five for an honest checkpoint."""
PATIENCE = 30
"""Seconds in all."""
MEMORY = 4 << 30
"""Bytes beyond what this process has."""
_CAN_FORK = sys.platform == "linux"
"""Elsewhere a child without `exec` is not safe, and what is tried runs here and unlimited."""


def tried(function: Callable[[], Any], *, expected: str, where: str, advice: str) -> Any:
    """What a function returns, which must be JSON, from a child process with limits.

    The child is a copy of this process with one thread: it computes on no accelerator, and nothing
    of what it changes is seen here.

    Raises:
        CheckpointError: `{expected}, got {what happened} ({where}); {advice}`; errors of the domain
            as the function has worded them.
    """
    if not _CAN_FORK:
        with foreign(expected, where, advice):
            return function()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn where there are threads; the child starts none and waits for none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _answer(function, writing, (expected, where, advice))
    os.close(writing)
    try:
        said = _read_all(reading, until=time.monotonic() + PATIENCE)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if said:
        outcome, value = json.loads(said)
        if outcome == "returned":
            return value
        raise CheckpointError(value)
    raise CheckpointError(f"{expected}, got {_end(status)} ({where}); {advice}")


def _read_all(pipe: int, *, until: float) -> bytes:
    """What the child has written when it ends; nothing if it has not ended by then."""
    said = b""
    while select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
        part = os.read(pipe, 1 << 16)
        if not part:
            return said
        said += part
    return b""


def _end(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if -code in (signal.SIGKILL, signal.SIGXCPU):
        return f"no end within {SECONDS} s of computing, {PATIENCE} s and {MEMORY >> 30} GiB"
    name = signal.strsignal(-code) if code < 0 else f"exit status {code}"
    return f"the end of the process ({name})"


def _answer(function: Callable[[], Any], pipe: int, words: tuple[str, str, str]) -> NoReturn:
    """In the child: run the function within the limits, write what it gives, and end."""
    try:
        _limit()
        try:
            with foreign(*words, passing=lambda _: False):
                answer = json.dumps(["returned", function()])
        except CheckpointError as error:
            answer = json.dumps(["refused", str(error)])
        with open(pipe, "wb") as file:
            file.write(answer.encode())
    finally:
        # Without what a process does at its end: buffers and threads are the parent's.
        os._exit(1)


def _limit() -> None:
    # It would write the end of this process to where the parent's is expected.
    faulthandler.disable()
    # What libraries print here, they print again in the parent.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    torch = sys.modules.get("torch")
    if torch is not None:
        # The threads of the parent are not there to help, and waiting for them would never end.
        torch.set_num_threads(1)
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + MEMORY)
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    _lower(resource.RLIMIT_CPU, SECONDS)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    capped = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (capped, hard))

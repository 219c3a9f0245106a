"""One command in a process of its own, forked from one that has imported everything already."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CRASHED = 70
"""Exit status of a command that ended with an error that is none of the domain."""
PATIENCE = 30.0
"""Seconds after which a command counts as hanging."""
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|INTERNALERROR|panicked at")
_OBEYED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]|^(::|##\[)", re.MULTILINE)
"""What a terminal or a CI service would obey."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a command has ended."""

    status: int
    """Exit status; minus the signal where one has ended it."""
    said: str
    """Everything on both streams."""
    seconds: float

    @property
    def _last_line(self) -> str:
        lines = [line for line in self.said.splitlines() if line.strip()]
        return ascii(lines[-1])[:300] if lines else ""

    def complaint(self) -> str:
        """What no input may do, whatever it is; empty where nothing did."""
        if self.seconds >= PATIENCE:
            return f"no end after {PATIENCE:.0f} s"
        if _TRACEBACK.search(self.said) or self.status == CRASHED:
            return f"an error that is none of the domain: {self._last_line}"
        if self.status < 0:
            return f"killed by signal {-self.status}"
        if found := _OBEYED.search(self.said):
            return f"printed {found[0]!r}, which a terminal or a CI service obeys"
        return "" if self.status == 0 or self.said.strip() else "failed without a word"


def run_command(arguments: Sequence[str], folder: Path, *, memory: int = 8 << 30) -> Ending:
    """`mmflow` with some arguments, run in `folder`, with at most `memory` bytes."""
    spoken, begin = folder / "said.txt", time.monotonic()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_child(arguments, folder, spoken, memory))
    status = _ended(child, begin + PATIENCE)
    seconds = time.monotonic() - begin
    said = spoken.read_bytes().decode("utf-8", "replace") if spoken.exists() else ""
    spoken.unlink(missing_ok=True)
    return Ending(status=status, said=said, seconds=seconds)


def _child(arguments: Sequence[str], folder: Path, spoken: Path, memory: int) -> int:
    import resource

    os.setsid()
    out = os.open(spoken, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    sys.stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115 (lives as the child)
    sys.stderr = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    try:
        from mmflow_bench.cli.main import main

        main(list(arguments), prog_name="mmflow")
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        status = CRASHED
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _ended(child: int, deadline: float) -> int:
    pause = 0.002
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

"""What is tried in a child process comes back, or ends there."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmflow_bench.checkpoints import trial
from mmflow_bench.errors import CheckpointError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tried in this process elsewhere")


def tried(function: Callable[[], object]) -> object:
    return trial.tried(function, expected="a result", where="checkpoint x", advice="do without")


def test_a_result_comes_back_and_nothing_else_changes() -> None:
    seen: list[int] = []

    def work() -> dict[str, object]:
        seen.append(1)
        return {"long": "x" * 300_000, "number": 7}

    assert tried(work) == {"long": "x" * 300_000, "number": 7}
    assert seen == []


def test_a_refusal_comes_back_in_its_own_words() -> None:
    def work() -> None:
        raise CheckpointError("a template, got none (checkpoint x); write one")

    with pytest.raises(
        CheckpointError, match=r"^a template, got none \(checkpoint x\); write one$"
    ):
        tried(work)


def _deep() -> None:
    _deep()


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: 1 // 0, "ZeroDivisionError"),
        (_deep, "RecursionError"),
        (lambda: bytearray(1 << 42), "MemoryError"),
        (lambda: os.kill(os.getpid(), signal.SIGABRT), "the end of the process .Aborted"),
        (lambda: ctypes.string_at(0), "the end of the process .Segmentation fault"),
        (lambda: os._exit(0), "the end of the process .exit status 0"),
        (lambda: {1, 2}, "TypeError"),
    ],
    ids=["error", "recursion", "memory", "abort", "crash", "exit", "no JSON"],
)
def test_what_goes_wrong_is_one_refusal(work: Callable[[], object], words: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^a result, got {words}.*; do without$"):
        tried(work)


@pytest.mark.parametrize(
    ("work", "limit"),
    [
        # One call, which nothing in Python can interrupt.
        (lambda: 10 ** (10**9), "SECONDS"),
        (lambda: time.sleep(60), "PATIENCE"),
    ],
    ids=["computes", "waits"],
)
def test_what_never_ends_is_ended(
    work: Callable[[], object], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, limit, 1)
    with pytest.raises(CheckpointError, match="no end within"):
        tried(work)


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def test_no_child_is_left_behind() -> None:
    before = children()
    tried(lambda: 1)
    assert children() == before

"""Locks are waited for with a word, and leave nothing where they must not."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from mmflow_bench.store import locking
from mmflow_bench.store.locking import alone


def test_whoever_waits_for_long_is_told_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0.05)
    path, is_held, may_go = tmp_path / "a.lock", threading.Event(), threading.Event()

    def hold() -> None:
        with alone(path):
            is_held.set()
            may_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(10)

    class Letting(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            may_go.set()

    locking.logger.addHandler(handler := Letting())
    try:
        with alone(path):
            assert may_go.is_set()
    finally:
        locking.logger.removeHandler(handler)
        holder.join()
    assert caplog.messages == [f"waiting for another process, which holds {path}"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_lock_is_left_behind_only_where_it_may_be(is_kept: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    for _ in range(2):
        with alone(path, is_kept=is_kept):
            assert path.exists()
        assert path.exists() is is_kept


def test_a_stale_lock_file_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("4242 some other program")
    with alone(path):
        pass

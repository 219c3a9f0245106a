"""Progress bars: on terminals only."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from mmflow_bench.reports import progress
from mmflow_bench.reports.progress import MeasuringBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_file_stays_clean():
    file = io.StringIO()
    bar = MeasuringBar(file)
    bar("ChooseAttr", 3, 10)
    bar.close()
    assert file.getvalue() == ""


def test_a_terminal_shows_what_is_measured_and_how_far_it_is(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    bar = MeasuringBar(file)
    bar("ChooseAttr", 0, 10)
    bar("ChooseAttr", 3, 10)
    bar.close()
    assert "measuring ChooseAttr" in file.getvalue()
    assert "3/10" in file.getvalue()


def test_output_is_given_back_when_the_bar_is_gone():
    shown: list[str] = []

    @contextmanager
    def visibly() -> Iterator[None]:
        shown.append("in")
        yield
        shown.append("out")

    bar = MeasuringBar(Terminal(), visibly=visibly)
    assert shown == ["in", "out"], "once, to see whether there is a terminal"
    bar("ChooseAttr", 3, 10)
    assert shown[2:] == ["in"]
    bar.close()
    assert shown[2:] == ["in", "out"]


def test_a_terminal_shows_speed_and_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    clock = iter(range(1000))
    monkeypatch.setattr("rich.progress.monotonic", lambda: float(next(clock)), raising=False)
    file = Terminal()
    bar = MeasuringBar(file)
    for done in range(6):
        bar("ChooseAttr", done, 10)
    bar._progress.refresh()
    bar.close()
    assert re.search(r"[\d.]+ samples/(s|min)", file.getvalue())
    assert re.search(r"\d:\d\d:\d\d", file.getvalue())


def test_a_log_that_is_asked_for_has_a_line_a_minute(monkeypatch, caplog):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = MeasuringBar(io.StringIO())
    with caplog.at_level(logging.INFO):
        for done in range(0, 241, 2):
            now[0] = float(done)
            bar("ChooseAttr", done, 240)
    assert caplog.messages == [
        "ChooseAttr: 60 of 240 samples, 1.0 samples/s, 180 s left",
        "ChooseAttr: 120 of 240 samples, 1.0 samples/s, 120 s left",
        "ChooseAttr: 180 of 240 samples, 1.0 samples/s, 60 s left",
        "ChooseAttr: 240 of 240 samples, 1.0 samples/s, 0 s left",
    ]


def test_what_a_fleet_costs_stands_beside_its_progress(monkeypatch, caplog):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    file = Terminal()
    bar = MeasuringBar(file)
    with caplog.at_level(logging.INFO):
        bar("all samples", 0, 10, "2 workers, 0.00 worker-hours")
        now[0] = 900.0
        bar("all samples", 10, 10, "2 workers, 0.50 worker-hours")
    bar.close()
    assert "2 workers, 0.50 worker-hours" in file.getvalue()
    assert caplog.messages[-1].endswith("0 s left; 2 workers, 0.50 worker-hours")


def test_processes_that_share_a_terminal_write_lines_with_their_names(monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    file = Terminal()
    bar = MeasuringBar(file, process="gw1")
    for done in range(1, 5):
        bar("ChooseAttr", done, 10)
    bar.say("3 open at 16 images")
    bar.close()
    (measured, told) = file.getvalue().split("\n\n")
    assert measured.startswith("\ngw1: ChooseAttr: 3 of 10 samples, ")
    assert told == "gw1: 3 open at 16 images\n"


def test_what_they_write_to_a_file_stays_clean():
    file = io.StringIO()
    bar = MeasuringBar(file, process="gw1")
    bar("ChooseAttr", 10, 10)
    bar.say("3 open at 16 images")
    assert file.getvalue() == ""

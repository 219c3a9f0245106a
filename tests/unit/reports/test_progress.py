"""Progress bars: on terminals only."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

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

"""What the package warns of while a command works is said on standard error."""

from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner

from mmflow_bench.cli import info
from mmflow_bench.cli.main import main
from mmflow_bench.measurements.settings import default_cache


def test_a_warning_is_one_line_of_each_command(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    def warned() -> object:
        logging.getLogger("mmflow_bench.store.damage").warning("damaged \x1b]0;%s", "a.parquet")
        return default_cache()

    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path))
    monkeypatch.setattr(info, "default_cache", warned)
    for _ in range(2):
        done = CliRunner().invoke(main, ["info", "--json"], prog_name="mmflow")
        assert done.exit_code == 0
        (line,) = done.stderr.splitlines()
        assert line.startswith("mmflow: damaged ")
        assert "\x1b" not in line
    assert not logging.getLogger("mmflow_bench").handlers

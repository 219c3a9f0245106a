"""`mmflow report` of one run and of several."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_folders import made_up_row, write_made_up_run

from mmflow_bench.cli.main import main
from mmflow_bench.reports.github import MOST_BYTES


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    rows = [made_up_row(id=f"mechanism-{i}", task="x" * 100) for i in range(300)]
    return [
        str(write_made_up_run(tmp_path / "with space" / name, name=name, rows=rows))
        for name in ("one", "two", "three")
    ]


def invoke(*arguments: str) -> str:
    found = CliRunner().invoke(main, ["report", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def test_several_runs_are_printed_one_after_another(runs):
    printed = invoke(*runs, "--width=80")
    assert re.findall(r"^(one|two|three)  6 layers", printed, re.MULTILINE) == [
        *("one", "two", "three"),
    ]


def test_the_markdown_of_several_runs_fits_into_one_comment_with_every_headline(runs):
    alone = invoke(runs[0], "--markdown")
    assert len(alone.encode()) > MOST_BYTES / 3
    together = invoke(*runs, "--markdown")
    assert len(together.encode()) <= MOST_BYTES
    titles = re.findall(r"^## (\w+): 300 holds$", together, re.MULTILINE)
    assert titles == ["one", "two", "three"]


def test_a_page_is_written_into_each_run(runs):
    assert len(invoke(*runs, "--html").splitlines()) == 3
    assert all((Path(run) / "report.html").is_file() for run in runs)


def test_a_page_shows_images_that_a_run_names_only_where_its_user_asks_for_them(tmp_path):
    run = write_made_up_run(tmp_path / "run", images=tmp_path / "images", task="Colours")
    invoke(str(run), "--html")
    assert '<img src="data:image' not in (run / "report.html").read_text(encoding="utf-8")
    invoke(str(run), "--html", "--pictures")
    assert '<img src="data:image' in (run / "report.html").read_text(encoding="utf-8")


def test_no_run_at_all_is_a_usage_error():
    assert CliRunner().invoke(main, ["report"]).exit_code == 2

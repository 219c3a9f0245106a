"""Where the picture and the sentence stand: report, leaderboard, Markdown, a file of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from flows import BASE, drop, flow_record
from run_folders import made_up_row

from mmflow_bench.cli.main import main
from mmflow_bench.plugin.paired import FOLDER
from mmflow_bench.reports.github import MOST_BYTES
from mmflow_bench.reports.html import page
from mmflow_bench.reports.leaderboard.board import board_of
from mmflow_bench.reports.leaderboard.writing import site

ROOT = Path(__file__).parents[4]
FIGURE = ROOT / "docs" / "figures" / "glance-planted-base.svg"
BLESSED = ROOT / "baselines" / "planted_base" / "values"
SAID = "The strongest path is question → last position"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record = flow_record(tmp_path / "run", BASE, spread=0.1, rows=[made_up_row()], name="tuned")
    return record.folder


def invoke(*arguments: object, code: int = 0) -> str:
    found = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert found.exit_code == code, found.output
    return found.output


@pytest.mark.usefixtures("without_plotly")
def test_a_report_begins_with_it_for_wide_and_for_narrow_screens(run):
    text = page.write_report(run).read_text(encoding="utf-8")
    _, _, rest = text.partition('<h2 id="glance">')
    drawn, _, _ = rest.partition('<ul class="counts">')
    assert [kind for kind in re.findall(r'<svg [^>]*class="glance (\w+)"', drawn)] == [
        *("wide", "narrow"),
    ]
    assert f"<p><bdi>{SAID}" in drawn
    assert "llava, 20 decoder layers" in drawn
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("without_plotly")
def test_in_a_gate_before_stands_beside_after(run, tmp_path):
    before = flow_record(tmp_path / "before", BASE | {"image->question": drop()}, name="base")
    text = page.write_report(run, baseline=before.folder).read_text(encoding="utf-8")
    assert text.count('class="glances pair"') == 1
    names = re.findall(r"<p>(Before|After): <b><bdi>(\w+)</bdi>", text)
    assert names == [("Before", "base"), ("After", "tuned")]


def test_the_page_of_a_checkpoint_on_a_leaderboard_begins_with_it(run):
    files = site(board_of([page.read_run(run)]))
    (checkpoint,) = (text for name, text in files.items() if name.startswith("checkpoints/"))
    assert SAID in checkpoint.partition('<ul class="counts">')[0]


def test_markdown_says_it_before_everything_else(run):
    text = invoke(run, "--markdown")
    title, said, *_ = text.split("\n\n")
    assert title == "## tuned: 1 holds"
    assert said.startswith(f"**tuned** (llava, 20 decoder layers): {SAID}")


def test_markdown_of_a_gate_says_before_and_after(run):
    flow_record(run / FOLDER, BASE | {"question->last": drop()}, spread=0.1, name="base")
    _, before, after, *_ = invoke(run, "--markdown").split("\n\n")
    assert before.startswith("Before: **base** (llava, 20 decoder layers): The strongest path is")
    assert after.startswith("After: **tuned** ")
    assert len(invoke(run, "--markdown").encode()) <= MOST_BYTES


def test_a_picture_of_one_run_and_of_two(run, tmp_path):
    assert "glance: " in invoke(run, "--glance", tmp_path / "one.svg")
    assert "Before" not in (tmp_path / "one.svg").read_text(encoding="utf-8")
    invoke(run, "--glance", tmp_path / "two.svg", f"--baseline={run}")
    assert "After: tuned" in (tmp_path / "two.svg").read_text(encoding="utf-8")


def test_another_ending_and_several_runs_are_refused(run, tmp_path):
    assert "ends in .svg, got" in invoke(run, "--glance", tmp_path / "one.png", code=2)
    assert "got 2 runs" in invoke(run, run, "--glance", tmp_path / "one.svg", code=2)
    assert not list(tmp_path.glob("one.*"))


def test_the_figure_in_the_repository_is_what_the_command_draws(tmp_path):
    invoke(BLESSED, "--glance", tmp_path / "now.svg")
    drawn, kept = (path.read_text(encoding="utf-8") for path in (tmp_path / "now.svg", FIGURE))
    told = f"mmflow report {BLESSED.relative_to(ROOT)} --glance {FIGURE.relative_to(ROOT)}"
    # Another machine may round the last digit of a place in another way.
    assert NUMBER.sub("#", drawn) == NUMBER.sub("#", kept), told
    places = [[float(n) for n in NUMBER.findall(text)] for text in (drawn, kept)]
    assert places[0] == pytest.approx(places[1], abs=0.11), told

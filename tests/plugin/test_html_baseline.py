"""`--baseline=... --report=html`: whatever kind of baseline it is, the page shows it."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from mmflow_bench.cli.main import main

BEHIND = re.compile(r'<polyline class="line s\d behind"')


@pytest.fixture
def kept(project):
    """A run of the base and the baseline that was made of it."""
    project.runpytest_inprocess("--model=planted/mini", "--mmflow-output=first")
    (run,) = (project.path / "first").iterdir()
    blessed = CliRunner().invoke(main, ["bless", str(run), "--name=golden"])
    assert blessed.exit_code == 0, blessed.output
    return {"run": str(run), "blessed": "baselines/golden", "by name": "golden"}


def page_of(project, baseline):
    result = project.runpytest_inprocess(
        "--model=planted/base", f"--baseline={baseline}", "--report=html", "--mmflow-output=second"
    )
    (page,) = (project.path / "second").glob("*/report.html")
    return result, page


@pytest.mark.parametrize("kind", ["run", "blessed", "by name"])
def test_a_kept_baseline_is_drawn_and_tabled(project, kept, kind):
    result, path = page_of(project, kept[kind])
    assert result.ret == 0
    page = path.read_text()
    # Two edges on two tasks.
    assert len(BEHIND.findall(page)) == 4
    assert "Thin grey curves are the baseline" in page
    assert 'id="comparison"' in page


def test_a_measured_baseline_is_drawn_and_tabled(project):
    _, path = page_of(project, "planted/mini")
    assert len(BEHIND.findall(path.read_text())) == 4
    # It lies beside the run, so that the page can be made again.
    again = CliRunner().invoke(main, ["report", str(path.parent), "--html"])
    assert again.exit_code == 0, again.output
    assert len(BEHIND.findall(path.read_text())) == 4


def test_the_papers_words_are_tabled_and_nothing_is_drawn(project):
    _, path = page_of(project, "paper/llava-1.5-13b")
    page = path.read_text()
    assert not BEHIND.search(page)
    assert "Thin grey curves" not in page
    assert "verdicts only" in page
    assert "read from the prose of arXiv:2411.18620" in page


def test_a_page_is_made_again_with_a_baseline_that_is_named(project, kept):
    _, path = page_of(project, kept["blessed"])
    arguments = ["report", str(path.parent), "--html"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert not BEHIND.search(path.read_text())
    named = CliRunner().invoke(main, [*arguments, f"--baseline={kept['blessed']}"])
    assert named.exit_code == 0, named.output
    assert len(BEHIND.findall(path.read_text())) == 4
    refused = CliRunner().invoke(main, [*arguments, "--baseline=paper/llava-1.5-13b"])
    assert refused.exit_code == 2
    assert "values of samples" in refused.output

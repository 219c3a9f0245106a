"""First and last sub-word side by side, on the samples that have both."""

from __future__ import annotations

import numpy as np
import pytest
from run_folders import IMAGES, LAYERS, write_made_up_run

from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.reports.html.page import write_report
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.runs.folder import PIECES
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.tables import sweep_rows, write_part

pytestmark = pytest.mark.usefixtures("without_plotly")
EDGE = "image->question"


@pytest.fixture
def run(tmp_path):
    """The last pieces of two of four answers."""
    table = SweepTable(
        edge=EDGE,
        task="ChooseAttr",
        window=3,
        method="masked",
        question_ids=("ChooseAttr-0", "ChooseAttr-2"),
        image_ids=(IMAGES[0], IMAGES[2]),
        base_probability=np.full(2, 0.8),
        knockout_probability=np.full((2, LAYERS), 0.4),
    )
    write_part(tmp_path / "run", PIECES, sweep_rows([table]))
    return write_made_up_run(tmp_path / "run")


def figure_of(run, name="pieces-image-to-question"):
    return {figure.id: figure for figure in figures_of(read_run(run))}.get(name)


def test_both_sub_words_are_drawn_of_the_samples_that_have_both(run):
    figure = figure_of(run)
    titles = {panel.title: panel.series for panel in figure.panels}
    assert list(titles) == ["ChooseAttr, first sub-word", "ChooseAttr, last sub-word"]
    (first,), (last,) = titles.values()
    assert (first.samples, last.samples) == (2, 2)
    assert (first.name, first.style) == (last.name, last.style) == ("image → question", 0)
    assert set(last.values) == {-0.5}
    # Of the other two samples nothing is drawn.
    assert first.values != figure_of(run, "image-to-question").panels[0].series[0].values
    assert "Windows of 3 layers" in figure.caption


def test_edges_and_runs_without_last_pieces_have_no_figure(run, tmp_path):
    assert figure_of(run, "pieces-into-last") is None
    plain = write_made_up_run(tmp_path / "plain")
    assert read_run(plain).pieces == ()
    assert not [one for one in figures_of(read_run(plain)) if one.id.startswith("pieces")]


def test_the_page_shows_the_figure(run):
    page = write_report(run).read_text(encoding="utf-8")
    assert "first and last sub-word (Fig. 10)" in page

"""Figures of attention sinks: drawn where a run has their numbers, and once."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_folders import made_up_row, write_made_up_run

from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.runs.folder import SAMPLES
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.tables import merge_parts, sweep_rows, write_part

NORMS = tuple(np.linspace(0, 0.05, 40))


ROW = made_up_row(id="q-last-drop")


def run(folder, *edges, rows=(ROW,)):
    write_made_up_run(folder, rows=rows)
    read = pq.read_table(folder / SAMPLES).to_pylist()
    (folder / SAMPLES).unlink()
    write_part(folder, SAMPLES, read)
    for number, edge in enumerate(edges):
        ids = tuple(f"ChooseAttr-{i}" for i in range(4))
        table = SweepTable(
            edge=edge,
            task="ChooseAttr",
            window=3,
            method="masked",
            question_ids=ids,
            image_ids=("a", "a", "b", "c"),
            base_probability=np.full(4, 0.5),
            knockout_probability=np.full((4, len(read[0]["relative_change"])), 0.1 * number),
        )
        write_part(folder, SAMPLES, sweep_rows([table]))
    merge_parts(folder)
    return read_run(folder)


def test_a_run_without_sinks_has_no_figure_of_them(tmp_path):
    edges = ("related_patches->question", "other_patches->question")
    found = {figure.id for figure in figures_of(run(tmp_path, *edges))}
    assert not found & {"patch-norms", "without-sinks", "without-decoder-sinks"}


def test_curves_with_and_without_sinks_share_a_panel_and_are_drawn_nowhere_else(tmp_path):
    edges = (
        "related_patches->question",
        "other_patches->question",
        "related_without_sinks->question",
        "other_without_sinks->question",
    )
    figures = {figure.id: figure for figure in figures_of(run(tmp_path, *edges))}
    (panel,) = figures["without-sinks"].panels
    found = {series.name: series.values[0] for series in panel.series}
    assert found == pytest.approx(
        {
            "related patches": -1.0,
            "other patches": -0.8,
            "related patches without sinks": -0.6,
            "other patches without sinks": -0.4,
        }
    )
    assert "without-decoder-sinks" not in figures
    others = [figure for name, figure in figures.items() if name.startswith("into-")]
    shown = {series.name for figure in others for one in figure.panels for series in one.series}
    assert not any("without" in name for name in shown)


def test_the_distribution_of_norms_is_drawn_once(tmp_path):
    rows = (
        made_up_row(id="sink-norms", name="largest norm over the median", curve=NORMS),
        made_up_row(id="sink-count", name="sinks among 576 patches", curve=NORMS),
    )
    figures = [figure for figure in figures_of(run(tmp_path, rows=rows)) if "patch" in figure.id]
    assert [figure.id for figure in figures] == ["patch-norms"]
    (panel,) = figures[0].panels
    assert panel.series[0].values == pytest.approx(NORMS)
    assert not any(f.id.startswith("curve-sink") for f in figures_of(read_run(tmp_path)))

"""The figures of App. D and K, from what a run has kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_folders import ROWS, write_made_up_run

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.reports.html.paper_figures import figures_of
from mmflow_bench.reports.html.semantics_figures import ON_AVERAGE, semantics_figures
from mmflow_bench.runs.folder import SEMANTICS
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.tables import merge_parts, semantics_rows, write_part, write_table

LAYERS = 6
LOSS = {"mlp": 0.8, "attention": 0.5, "image -> question": 0.3}


def tables(task, scale=1.0):
    for without, loss in LOSS.items():
        similarity = 1 - scale * np.outer([1.0, 0.5, 0.9], np.linspace(loss, 0, LAYERS))
        yield replace(
            QuestionSemantics.of(without, width=3).example(task, LAYERS),
            question_ids=("a", "b", "c"),
            image_ids=("x", "y", "y"),
            similarity=similarity,
            position_similarity=similarity,
        )


@pytest.fixture
def folder(tmp_path):
    write_made_up_run(tmp_path)
    rows = [*tables("ChooseAttr"), *tables("LogicalObj", 0.5)]
    # As two workers of one run do, both of which have read a table.
    for of_part in (rows[:4], rows[3:]):
        write_part(tmp_path, SEMANTICS, semantics_rows(of_part))
    merge_parts(tmp_path)
    return tmp_path


def test_a_figure_for_the_modules_and_one_for_the_image(folder):
    modules, image = semantics_figures(read_run(folder))
    assert [panel.title for panel in modules.panels] == ["ChooseAttr", "LogicalObj", ON_AVERAGE]
    assert [one.name for one in modules.legend] == ["without MLP", "without attention"]
    assert [one.name for one in image.legend] == ["image → question"]
    task, other, average = (panel.series[0] for panel in modules.panels)
    assert task.values[0] == pytest.approx(0.8 * np.mean([1.0, 0.5, 0.9]), abs=1e-6)
    assert average.values[0] == pytest.approx((task.values[0] + other.values[0]) / 2, abs=1e-6)
    assert task.samples == 3
    assert task.low
    assert not average.low
    assert "Windows of 3 layers." in modules.caption


def test_they_stand_in_the_report_and_the_same_curve_of_a_row_does_not(folder):
    assert {"semantics-modules", "semantics-image"} <= {
        one.id for one in figures_of(read_run(folder))
    }
    row = replace(ROWS[0], id="mod-mlp-first", name="at the first layer of loss without mlp, mean")
    write_made_up_run(folder, rows=(replace(row, curve=(0.5,) * LAYERS), *ROWS[1:]))
    assert "curve-mod-mlp-first" not in {one.id for one in figures_of(read_run(folder))}


def test_a_run_that_has_not_looked_has_no_such_figure(tmp_path):
    found = figures_of(read_run(write_made_up_run(tmp_path)))
    assert not any(one.id.startswith("semantics") for one in found)


def test_a_table_with_a_similarity_beyond_one_is_refused(folder):
    rows = pq.read_table(folder / SEMANTICS).to_pylist()
    rows[2]["similarity"][1] = 1.5
    write_table(folder / SEMANTICS, SEMANTICS, rows)
    with pytest.raises(StoreError, match=r"a similarity from 0 to 1 in semantics.parquet, got 1.5"):
        _ = read_run(folder).semantics

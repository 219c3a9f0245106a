"""Fig. 14 of what a run folder has, on an axis of layers."""

from __future__ import annotations

import math

import pytest
from run_folders import write_made_up_run

from mmflow_bench.reports.html.removal_figures import removal_figures
from mmflow_bench.reports.html.svg import panel_svg
from mmflow_bench.runs.reading import read_run


def row(task: str, image: str, *, removed: str = "image", followed: bool = True):
    return {
        "task": task,
        "removed": removed,
        "question_id": image,
        "image_id": image,
        "is_followed": followed,
        "first_layer": [1, 3, 4],
        "is_correct": [False, followed, followed],
        "probability": [0.2, 0.8, 0.8],
        "operations": [5.0, 8.0, 10.0],
        "cache_bytes": [4.0, 7.0, 10.0],
    }


@pytest.fixture
def figures(tmp_path):
    """`figures(*rows)`: of a run folder whose table of removal has these rows."""
    record = read_run(write_made_up_run(tmp_path / "run"))

    def drawn(*rows):
        # What a run folder reads once, and then knows.
        vars(record)["removal"] = list(rows)
        return list(removal_figures(record))

    return drawn


def test_every_number_stands_at_its_layer(figures):
    (figure,) = figures(row("ChooseAttr", "a"), row("ChooseAttr", "b", followed=False))
    (panel,) = figure.panels
    values = {series.name: series.values for series in panel.series}
    assert [len(found) for found in values.values()] == [5, 5, 5, 5]
    assert values["accuracy"][1:] == pytest.approx((0.0, math.nan, 0.5, 0.5), nan_ok=True)
    # Of the answers that are followed alone.
    assert values["probability"][1] == 0.2
    assert panel.series[1].samples == 1
    saved = (math.nan, 0.5, math.nan, 0.2, 0.0)
    assert values["operations saved"] == pytest.approx(saved, nan_ok=True)
    assert values["cache saved"][1] == pytest.approx(0.6)
    drawn = str(panel_svg(panel, figure))
    assert "nan" not in drawn
    assert drawn.count("<polyline") == 4


def test_a_task_without_a_followed_answer_has_no_probability(figures):
    (figure,) = figures(row("ChooseAttr", "a", followed=False))
    names = [series.name for series in figure.panels[0].series]
    assert names == ["accuracy", "operations saved", "cache saved"]


def test_kinds_of_removal_have_figures_of_their_own_and_none_has_none(figures):
    assert figures() == []
    found = figures(row("QueryAttr", "a"), row("ChooseAttr", "a", removed="unrelated"))
    assert [(one.id, one.is_folded) for one in found] == [
        ("removal-image", False),
        ("removal-unrelated", True),
    ]

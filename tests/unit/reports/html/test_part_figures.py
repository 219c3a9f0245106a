"""Figures of App. B and App. J, from what a run has measured of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from mmflow_bench.reports.html.part_figures import PART_EDGES, part_figures, window_study
from mmflow_bench.reports.html.svg import STYLES
from mmflow_bench.runs.curves import SweptCurves


def record(*asked: tuple[str, str, int], method: str = "masked") -> Any:
    """Two images for each task, edge and width; the wider the window, the deeper the drop."""
    sweeps = [
        SweptCurves(
            task=task,
            edge=edge,
            window=window,
            method=method,
            question_ids=("0", "1"),
            image_ids=("0", "1"),
            base_probability=np.ones(2),
            values=np.array([[0.0, -0.01 * window, -0.02 * image] for image in range(2)]),
        )
        for task, edge, window in asked
    ]
    return SimpleNamespace(sweeps=sweeps, alpha=0.05)


def test_a_study_of_windows_has_a_panel_for_each_edge_and_a_curve_for_each_width():
    asked = [("ChooseAttr", "image->last", width) for width in (9, 1, 3)]
    asked += [("ChooseAttr", "image->question", width) for width in (1, 9)]
    (figure,) = window_study(record(*asked), y_label="change")
    (panel,) = figure.panels
    assert panel.title == "image → last, ChooseAttr"
    assert [series.name for series in panel.series] == ["1 layer", "3 layers", "9 layers"]
    assert [series.values[1] for series in panel.series] == [-0.01, -0.03, -0.09]
    assert len({series.style for series in panel.series}) == 3


def test_parts_are_drawn_in_windows_of_one_width_by_task():
    asked = [
        ("ChooseAttr", "true_option->last", 9),
        ("ChooseAttr", "true_option+false_option->last", 9),
        ("CompareAttr", "objects->last", 9),
        ("CompareAttr", "image->objects", 9),
        ("CompareAttr", "image->objects", 1),
    ]
    figures = {one.id: one for one in part_figures(record(*asked), window=9, y_label="change")}
    last = figures["parts-into-last"]
    assert [(panel.title, [one.name for one in panel.series]) for panel in last.panels] == [
        ("ChooseAttr", ["true option → last", "true option + false option → last"]),
        ("CompareAttr", ["objects → last"]),
    ]
    (panel,) = figures["image-to-parts"].panels
    assert [series.samples for series in panel.series] == [2]
    assert not figures["related-to-parts"].panels


def test_other_methods_are_no_part_of_it():
    asked = [("ChooseAttr", "true_option->last", width) for width in (1, 3, 9)]
    other = record(*asked, method="unnormalised")
    assert not any(one.panels for one in part_figures(other, window=9, y_label=""))
    assert not any(one.panels for one in window_study(other, y_label=""))


def test_every_curve_of_a_panel_has_a_style_of_its_own():
    # The widths of App. B are seven; no kind of edge has more parts than there are styles.
    asked = record(*(("ChooseAttr", edge, 9) for edge in sorted(PART_EDGES)))
    for figure in part_figures(asked, window=9, y_label=""):
        (panel,) = figure.panels
        styles = [series.style % STYLES for series in panel.series]
        assert len(set(styles)) == len(styles)

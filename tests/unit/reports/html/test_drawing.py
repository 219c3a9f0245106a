"""Figures as data and as SVG: the right numbers in the right places."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mmflow_bench.reports.html.figures import Figure, Panel, Series, drawn
from mmflow_bench.reports.html.samples import overlay, spread
from mmflow_bench.reports.html.svg import DASHES, STYLES, SYMBOLS, panel_svg, sparkline


def figure(*series: Series, **values: object) -> tuple[Panel, Figure]:
    panel = Panel(title="T", series=series)
    known = {"id": "f", "title": "F", "caption": "", "y_label": "change", "panels": (panel,)}
    return panel, Figure(**(known | values))


def test_a_mean_counts_samples_and_its_band_images():
    values = np.array([[0.0, -1.0], [0.0, -1.0], [0.0, -0.4], [0.0, -0.6]])
    series = drawn("s", values, ["a", "a", "b", "c"], style=2, alpha=0.05)
    assert series.values == pytest.approx((0.0, -0.75))
    assert series.samples == 4
    assert series.low[1] < -0.75 < series.high[1]
    # All samples agree in the first layer: the band has no width there.
    assert series.low[0] == series.high[0] == 0.0


def test_one_image_has_no_band_and_a_sample_that_is_not_a_number_none_at_all():
    assert drawn("s", np.zeros((2, 3)), ["a", "a"], style=0, alpha=0.05).low == ()
    values = np.array([[0.0, 1.0], [np.nan, 5.0]])
    series = drawn("s", values, ["a", "b"], style=0, alpha=0.05)
    assert series.values == (0.0, 1.0)
    assert series.samples == 1


def test_a_smaller_alpha_makes_a_wider_band():
    values = np.random.default_rng(0).normal(size=(20, 5))
    images = [str(i) for i in range(20)]
    wide, narrow = (drawn("s", values, images, style=0, alpha=a) for a in (0.01, 0.2))
    assert all(np.subtract(wide.high, wide.low) > np.subtract(narrow.high, narrow.low))


def test_lower_values_are_drawn_lower_and_later_layers_further_right():
    svg = panel_svg(*figure(Series(name="s", values=(0.0, -0.5, -0.25))))
    points = re.search(r'<polyline class="line s0" points="([^"]+)"', svg)
    assert points is not None
    xs, ys = zip(*(map(float, pair.split(",")) for pair in points[1].split()), strict=True)
    assert xs[0] < xs[1] < xs[2]
    assert ys[0] < ys[2] < ys[1]
    assert ys[2] == pytest.approx((ys[0] + ys[1]) / 2, abs=0.11)


def test_every_style_has_a_symbol_and_a_dash_of_its_own():
    assert len(set(DASHES)) == len(set(SYMBOLS)) == STYLES


def test_a_panel_says_its_largest_value_to_who_does_not_see_it():
    svg = panel_svg(*figure(Series(name="a & b", values=(0.0, -0.5, 0.1)), first=-1))
    assert "a &amp; b: −50% at layer 0" in svg  # noqa: RUF001
    assert 'role="img"' in svg


@pytest.mark.parametrize(
    "values",
    [(), (float("nan"),) * 3, (0.0, float("inf"), 1.0), (1e-30, -1e-30), (1e9, -1e9), (0.0,)],
)
def test_odd_curves_are_drawn_without_a_number_that_is_none(values):
    svg = panel_svg(*figure(Series(name="s", values=values)))
    assert not re.search(r"nan|inf", svg.split(">", 1)[1])
    assert "nan" not in sparkline(values)


def test_samples_are_spread_over_the_whole_file():
    assert spread(range(1000), most=10) == list(range(0, 1000, 100))
    assert len(spread(range(3), most=10)) == 3


def test_patches_of_a_padded_grid_begin_outside_of_the_picture():
    # A photo of 20 x 10 in the middle of a square: the grid begins 5 pixels above it.
    grid = {
        **{"width": 20, "height": 10, "rows": 2, "columns": 2, "left": 0.0, "top": -5.0},
        **{"cell_width": 10.0, "cell_height": 10.0, "related": [3]},
    }
    row = {"image_width": None, "image_height": None, "boxes": [], "patches": grid}
    assert overlay(row) == (
        '<rect class="patch" x="50.00" y="50.00" width="50.00" height="100.00"/>'
    )


def test_a_sample_of_unknown_size_has_no_overlay():
    row = {"image_width": None, "image_height": None, "boxes": [[0, 0, 1, 1]], "patches": None}
    assert overlay(row) == ""

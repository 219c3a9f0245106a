"""Which rows go through a pass together."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.planning import CutEdges, Row, joined

LENGTH, LAYERS = 100, 10
NOTHING = torch.zeros(LENGTH, LENGTH, dtype=torch.bool)


def row(first_layer, target):
    layers = range(first_layer, LAYERS)
    knockout = Knockout(sources=(0,), targets=(target,), layers=layers)
    does = CutEdges(sources=(0,), targets=(target,), heads=None, edges=NOTHING)
    return target, Row(intervention=knockout, parts=((layers, does),))


def cost(groups):
    """Positions times layers: of the clean row, and of each row from its first layer on."""
    return sum(
        (LENGTH - start) * (LAYERS + sum(LAYERS - one.first_layer for one in rows))
        for start, rows in groups.items()
    )


def test_a_late_row_goes_with_an_early_one_where_that_is_cheaper():
    placed = [row(0, 20), row(5, 40)]
    assert {
        start: len(rows) for start, rows in joined(placed, length=LENGTH, layers=LAYERS).items()
    } == {20: 2}


def test_many_rows_that_begin_late_stay_on_their_own():
    placed = [row(0, 20), *(row(layer, 90) for layer in range(10))]
    groups = joined(placed, length=LENGTH, layers=LAYERS)
    assert {start: len(rows) for start, rows in groups.items()} == {20: 1, 90: 10}


@pytest.mark.parametrize("late", [21, 40, 60, 99])
@pytest.mark.parametrize("rows", [1, 3, 9])
def test_joining_never_costs_more(late, rows):
    placed = [row(2, 20), *(row(4, late) for _ in range(rows))]
    apart = {start: [one for at, one in placed if at == start] for start, _ in placed}
    groups = joined(placed, length=LENGTH, layers=LAYERS)
    assert cost(groups) <= cost(apart)
    assert sum(len(of) for of in groups.values()) == len(placed)


def test_nothing_to_compute_is_no_pass():
    assert joined([], length=LENGTH, layers=LAYERS) == {}

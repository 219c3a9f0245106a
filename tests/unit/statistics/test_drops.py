"""Two drops of a curve told apart by single layers."""

import numpy as np
import pytest

from mmflow_bench.interventions.knockout import layer_window
from mmflow_bench.statistics import drops

LAYERS, LOWEST, GAP = 40, 9, 4


def curve_of(transfers, width):
    """Drops of transfers {layer: drop} that are cut by every window that holds the layer."""
    windows = [layer_window(centre, width, LAYERS) for centre in range(LAYERS)]
    lost = [sum(drop for layer, drop in transfers.items() if layer in w) for w in windows]
    return -np.array(lost, dtype=float)[None, :]


def end_of(transfers):
    single = curve_of(transfers, 1)
    return drops.end_of_first_drop(single, lowest=LOWEST, gap=GAP, floor=1e-6)[0]


@pytest.mark.parametrize(
    ("transfers", "end"),
    [
        ({}, -1),
        ({10: 0.2}, -1),
        ({0: 0.6, 10: 0.2}, 0),
        ({3: 0.6, 14: 0.2}, 3),
        ({6: 0.6}, 6),
        ({0: 0.6, 8: 0.4}, 0),
        # Layers that follow each other closely are one drop, however far it goes.
        ({0: 0.3, 1: 0.3, 2: 0.2}, 2),
        (dict.fromkeys(range(0, 24, 4), 0.1), 20),
        # What is less than half of the deepest is not where it happens.
        ({0: 0.6, 2: 0.2}, 0),
    ],
)
def test_the_first_drop_ends_with_the_last_layer_close_to_the_one_before(transfers, end):
    assert end_of(transfers) == end


def places(*layers):
    return np.isin(np.arange(LAYERS), layers)[None, :]


@pytest.mark.parametrize(
    ("transfers", "expected"),
    [({0: 0.6, 10: 0.21}, 0.21), ({10: 0.21}, 0.0), ({0: 0.6}, 0.0), ({0: 0.1, 10: 0.3}, 0.1)],
)
def test_prominence_is_that_of_the_shallower_of_two_drops(transfers, expected):
    halves = (curve_of(transfers, 9),) * 2
    early, late = (places(*range(5)),) * 2, (places(*range(6, 17)),) * 2
    value = drops.cross_fitted_prominence_of(halves, early, late)[0]
    assert value == pytest.approx(expected)


def test_where_no_layer_counts_there_is_no_drop():
    halves, nowhere, early = (curve_of({2: 0.6}, 9),) * 2, (places(),) * 2, (places(0, 1),) * 2
    assert drops.cross_fitted_minimum_in(halves, nowhere)[0] == 0
    assert drops.cross_fitted_prominence_of(halves, early, nowhere)[0] == 0
    assert drops.cross_fitted_prominence_of(halves, nowhere, early)[0] == 0


def test_a_minimum_is_read_where_the_other_half_has_it():
    halves = np.zeros((2, 1, LAYERS))
    halves[0, 0, 7], halves[1, 0, 9] = -0.4, -0.2
    both = (places(7, 9),) * 2
    assert drops.cross_fitted_minimum_in((halves[0], halves[1]), both)[0] == 0
    same = (halves[0], halves[0])
    assert drops.cross_fitted_minimum_in(same, both)[0] == pytest.approx(-0.4)
    assert drops.cross_fitted_minimum_in(same, (places(7), places(9)))[0] == pytest.approx(-0.2)

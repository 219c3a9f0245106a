"""Which layers a stretch of edges has, and what it is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.stretches import Stretch

EDGE = "image -> question"
depths = st.floats(0, 1)


@pytest.mark.parametrize(
    ("where", "layers"),
    [
        ({}, [range(40)]),
        ({"within": (0.35, 0.75)}, [range(14, 31)]),
        ({"outside": (0.35, 0.75)}, [range(14), range(31, 40)]),
        ({"outside": (0.0, 0.42)}, [range(17, 40)]),
        ({"outside": (0.0, 1.0)}, []),
        ({"within": (0.51, 0.52)}, []),
    ],
)
def test_layers_of_the_papers_depths(where, layers):
    assert list(Stretch.of(EDGE, **where).layers(40)) == layers


@given(count=st.integers(1, 90), ends=st.tuples(depths, depths))
def test_within_and_outside_are_all_layers_once(count, ends):
    band = sorted(ends)
    parts = [Stretch.of(EDGE, within=band), Stretch.of(EDGE, outside=band)]
    found = [layer for part in parts for run in part.layers(count) for layer in run]
    assert sorted(found) == list(range(count))
    runs = [run for part in parts for run in part.layers(count)]
    assert all(len(run) > 0 for run in runs)


def test_what_is_cut_differently_is_called_differently():
    stretches = [
        Stretch.of(EDGE),
        Stretch.of(EDGE, within=(0, 0.5)),
        Stretch.of(EDGE, outside=(0, 0.5)),
        Stretch.of(EDGE, within=(0, 0.25)),
        Stretch.of("image -> image"),
        Stretch.of("image -> image", spares_self=True),
    ]
    assert len({str(one) for one in stretches}) == len(stretches)
    assert str(stretches[0]) == "image->question"


@pytest.mark.parametrize("band", [(0.5, 0.4), (-0.1, 0.5), (0.2, 8), (float("nan"), 1)])
def test_layers_instead_of_depths_are_refused(band):
    with pytest.raises(KnockoutError, match="depths from 0 to 1"):
        Stretch.of(EDGE, within=band)


def test_within_and_outside_at_once_is_refused():
    with pytest.raises(KnockoutError, match="got both"):
        Stretch.of(EDGE, within=(0, 0.5), outside=(0.5, 1))

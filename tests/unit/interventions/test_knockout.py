"""Knockouts that do not fit are refused before anything is computed."""

from __future__ import annotations

import pytest

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Knockout, Method


def test_methods_go_by_the_names_that_users_type():
    assert [str(method) for method in Method] == ["masked", "unnormalised", "counterfactual"]


def test_a_knockout_inside_the_sequence_and_the_decoder_fits():
    Knockout(sources=(0, 4), targets=(4,), layers=range(3)).check(length=5, layers=3, heads=2)


@pytest.mark.parametrize(
    ("knockout", "message"),
    [
        (Knockout(sources=(5,), targets=(4,), layers=range(3)), "source positions in 0..4, got 5"),
        (Knockout(sources=(0,), targets=(-1,), layers=range(3)), "target positions .*got -1"),
        (Knockout(sources=(0,), targets=(4,), layers=range(2, 4)), "decoder layers in 0..2"),
        (Knockout(sources=(0,), targets=(4,), layers=range(0, 3, 2)), "contiguous"),
    ],
)
def test_a_knockout_outside_is_refused(knockout, message):
    with pytest.raises(KnockoutError, match=message):
        knockout.check(length=5, layers=3, heads=2)

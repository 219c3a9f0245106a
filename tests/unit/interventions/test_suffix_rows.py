"""Which rows of a suffix pass stay where they are from one layer to the next."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st
from random_sweeps import WINDOW, Geometry, Sweep

from mmflow_bench.interventions.batch import ordered
from mmflow_bench.interventions.knockout import Module
from mmflow_bench.interventions.planning import Skipped
from mmflow_bench.interventions.suffix_pass import SuffixPass

ROWS = 4
ONE, OTHER = ((Skipped(module=Module.MLP, positions=(at,)),) for at in range(2))
DONE = st.sampled_from([(), ONE, OTHER])


@given(st.lists(st.tuples(st.integers(0, ROWS - 1), DONE), unique=True))
def test_rows_are_ordered_with_the_clean_one_first_and_neighbours_alike(asked):
    different = list(dict.fromkeys([(0, ()), *asked]))
    found = ordered(different, ROWS)
    assert len(found) == len(different)
    assert set(found) == set(different)
    assert found[0] == (0, ())
    assert sum(bool(a[1]) != bool(b[1]) for a, b in pairwise(found)) <= 1


def test_rows_that_are_all_there_stay_and_new_ones_go_behind_them():
    before = [(0, ()), (1, ()), (2, ONE), (0, ONE), (2, ())]
    # What is cut no more is as the clean row is: it comes before what still is.
    assert ordered(before, 3) == [(0, ()), (1, ()), (2, ()), (2, ONE), (0, ONE)]
    assert ordered([before[0], before[3], *before[1:3]], 3) == before[:4]


def test_the_paper_s_sweep_copies_rows_only_while_windows_that_begin_together_end(monkeypatch):
    sweep = Sweep(Geometry(layers=12, patches=4), width=32)
    moved = []
    chosen = SuffixPass._chosen

    def watched(self, hidden, rows):
        states = chosen(self, hidden, rows)
        moved.append(len(hidden) > 1 and states.data_ptr() != hidden.data_ptr())
        return states

    monkeypatch.setattr(SuffixPass, "_chosen", watched)
    # Layers write over what they are given where they take it in portions.
    monkeypatch.setattr("mmflow_bench.interventions.suffix_pass.positions_at_work", lambda *_: 1)
    in_place = sweep.fast().softmax(dim=-1)
    assert len(moved) == 2 * sweep.layers
    for of_pass in (moved[: sweep.layers], moved[sweep.layers :]):
        assert not any(of_pass[WINDOW:])
        assert sum(of_pass) < WINDOW // 2
    monkeypatch.undo()
    assert torch.allclose(in_place, sweep.fast().softmax(dim=-1), atol=1e-6)

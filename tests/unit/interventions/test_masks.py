"""Edges that are left, and queries that must not be blinded."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.masks import cut_edges, without_edges

LENGTH = 7
positions = st.sets(st.integers(0, LENGTH - 1))


def causal_edges(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


@given(sources=positions, targets=positions)
def test_exactly_the_named_edges_are_gone_or_the_knockout_is_refused(sources, targets):
    visible = causal_edges(LENGTH)
    blind = [target for target in targets if set(range(target + 1)) <= sources]
    if blind:
        with pytest.raises(KnockoutError, match=f"for the targets .*{blind[0]}"):
            without_edges(visible, sources=sources, targets=targets)
        return
    left = without_edges(visible, sources=sources, targets=targets)
    for query in range(LENGTH):
        for key in range(LENGTH):
            is_cut = query in targets and key in sources
            assert bool(left[query, key]) == (key <= query and not is_cut)


def test_edges_that_are_not_there_may_be_cut():
    visible = causal_edges(4)
    assert torch.equal(without_edges(visible, sources=(2, 3), targets=(0, 1)), visible)


def test_the_mask_that_was_given_is_not_changed():
    visible = causal_edges(4)
    without_edges(visible, sources=(1,), targets=(3,))
    assert torch.equal(visible, causal_edges(4))


def test_a_query_that_saw_nothing_before_is_not_blinded_by_the_knockout():
    visible = causal_edges(3)
    visible[0] = False
    assert not without_edges(visible, sources=(0,), targets=(0,))[0].any()


def test_sources_are_keys_and_targets_are_queries():
    assert cut_edges(3, sources=(0,), targets=(2,)).nonzero().tolist() == [[2, 0]]


def test_long_lists_of_positions_are_shortened_in_the_message():
    with pytest.raises(KnockoutError, match=r"the sources 0, 1, \.\.\. 11 \(12 positions\)"):
        without_edges(causal_edges(12), sources=range(12), targets=(3,))


def test_a_position_may_still_see_itself():
    cut = cut_edges(4, sources=(1, 2), targets=(1, 2, 3), spares_self=True)
    assert cut.nonzero().tolist() == [[1, 2], [2, 1], [3, 1], [3, 2]]
    visible = causal_edges(4)
    left = without_edges(visible, sources=range(4), targets=range(4), spares_self=True)
    assert torch.equal(left, torch.eye(4, dtype=torch.bool))

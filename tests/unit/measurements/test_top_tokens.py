"""What a position says: the ten likeliest tokens that are told apart from the eleventh."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmflow_bench.errors import NotFiniteError
from mmflow_bench.measurements import top_tokens
from mmflow_bench.measurements.top_tokens import (
    NONE,
    TOP,
    likeliest,
    position_similarity,
    said,
    similarity,
    tokens_read,
)

SINGLE = torch.float32


def words(logits, precision=SINGLE):
    return said(likeliest(logits, precision=precision, of="a test").numpy())


def tokens(*positions):
    """Ids of every position, filled up."""
    return np.array([[*one, *[NONE] * (TOP - len(one))] for one in positions])


def test_ten_distinct_logits_are_the_ten_of_topk():
    logits = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    found = likeliest(logits, precision=SINGLE, of="a test")
    assert torch.equal(found, logits.topk(TOP).indices)


def test_of_equal_tokens_at_the_end_none_counts():
    logits = torch.zeros(1, 40)
    logits[0, :3] = torch.tensor([5.0, 4.0, 3.0])
    assert words(logits) == {0, 1, 2}
    # Whatever rounding makes of those that are equal.
    noise = 1e-7 * torch.randn(1, 40, generator=torch.Generator().manual_seed(1))
    assert words(logits + noise) == {0, 1, 2}


def test_the_order_of_the_vocabulary_is_of_no_account():
    generator = torch.Generator().manual_seed(2)
    logits = torch.randint(0, 9, (1, 60), generator=generator).float()
    order = torch.randperm(60, generator=generator)
    assert {int(order[one]) for one in words(logits[:, order])} == words(logits)


def test_where_all_tokens_are_alike_nothing_is_said():
    assert words(torch.full((3, 40), -30.0)) == frozenset()


def test_terms_that_cancel_do_not_tell_tokens_apart():
    logits = torch.zeros(1, 40)
    logits[0, 7] = 1e-5
    assert words(logits) == {7}
    logits[0, 39] = -30.0
    assert words(logits) == frozenset()


def test_half_precision_tells_less_apart():
    logits = torch.linspace(20.0, 18.0, 41)[None]
    assert words(logits) == set(range(TOP))
    # Next to 20 neighbours of bfloat16 are 0.125 apart.
    assert words(logits, torch.bfloat16) < words(logits)
    assert words(logits, torch.float16) >= words(logits, torch.bfloat16)


def test_suppressed_tokens_and_small_vocabularies():
    logits = torch.full((1, 20), -torch.inf)
    logits[0, :4] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert words(logits) == {0, 1, 2, 3}
    assert words(torch.tensor([[3.0, 2.0, 1.0]])) == {0, 1}


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_none_are_refused(value):
    logits = torch.zeros(2, 20)
    logits[1, 4] = value
    with pytest.raises(NotFiniteError, match="a test"):
        words(logits)


def test_read_in_blocks_as_at_once(monkeypatch):
    weight = torch.randn(50, 8, generator=torch.Generator().manual_seed(3))
    states = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(4))
    read = tokens_read(lambda hidden: hidden @ weight.T, of="a test")
    whole = read(states)
    monkeypatch.setattr(top_tokens, "VALUES_AT_ONCE", 120)
    assert torch.equal(read(states), whole)
    assert whole.shape == (3, 5, TOP)
    assert torch.equal(whole, (states @ weight.T).topk(TOP).indices)


def test_similarity_is_that_of_the_union_over_positions():
    one, other = tokens([1, 2], [2, 3], []), tokens([3, 4], [1], [5])
    assert similarity(one, other) == pytest.approx(2 / 5)
    assert similarity(one, one) == 1
    assert similarity(tokens([1]), tokens([2])) == 0
    assert similarity(tokens([]), tokens([])) == 1


def test_similarity_by_position_leaves_out_those_that_say_nothing():
    one, other = tokens([1, 2], [2, 3], []), tokens([1, 2], [4], [5])
    assert position_similarity(one, other) == pytest.approx((1 + 0) / 2)

"""Attention without scores is attention."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.interventions.fused import Part, fused_attention

ROWS, KV_HEADS, QUERIES, PREFIX, DIM = 3, 2, 4, 5, 8


def at_once(mask):
    """One part with all queries."""
    return [Part(mask=mask.permute(1, 2, 0, 3, 4).flatten(2, 3))]


def one_by_one(mask):
    """A part for each query, with the keys that it sees."""
    places = mask[:, 0, 0].flatten(0, 1)
    return [
        Part(places=torch.tensor([place]), seen=(row == 0).nonzero()[:, 0])
        for place, row in enumerate(places)
    ]


def mixed(mask):
    """Some with what they see, others with what is added to their scores."""
    of_rows = mask.permute(1, 2, 0, 3, 4).flatten(2, 3)
    rest = torch.arange(3, of_rows.shape[2])
    return [*one_by_one(mask)[:3], Part(places=rest, mask=of_rows[:, :, rest])]


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize(
    ("by_head", "parts_of"),
    [(False, at_once), (True, at_once), (False, one_by_one), (False, mixed)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_prefix_and_suffix_are_weighed_as_one(group, by_head, parts_of, dtype):
    torch.manual_seed(0)
    heads = group * KV_HEADS
    query = torch.randn(ROWS, heads, QUERIES, DIM, dtype=dtype)
    prefix = torch.randn(2, KV_HEADS, PREFIX, DIM, dtype=dtype)
    suffix = torch.randn(2, ROWS, KV_HEADS, QUERIES, DIM, dtype=dtype)
    shape = (KV_HEADS, group) if by_head else (1, 1)
    hidden = torch.rand(ROWS, *shape, QUERIES, PREFIX + QUERIES) < 0.4
    hidden[..., PREFIX:] |= torch.ones(QUERIES, QUERIES, dtype=torch.bool).triu(1)
    # One query sees nothing of the prefix, one nothing of the suffix; every one sees a key.
    hidden[0, ..., 1, :PREFIX] = True
    hidden[1, ..., 2, PREFIX:] = True
    hidden[..., 0] &= hidden[..., PREFIX:].all(dim=-1).logical_not()
    hidden[0, ..., 1, PREFIX] = False
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill(hidden, -torch.inf)
    read = fused_attention(
        query,
        tuple(prefix),
        tuple(suffix),
        parts=parts_of(mask[..., :PREFIX]),
        mask=mask[..., PREFIX:],
        scaling=0.3,
    )
    keys, values = (
        torch.cat([shared.expand(ROWS, -1, -1, -1), own], dim=2).repeat_interleave(group, dim=1)
        for shared, own in zip(prefix.double(), suffix.double(), strict=True)
    )
    scores = 0.3 * query.double() @ keys.transpose(2, 3)
    every = mask.double().expand(-1, KV_HEADS, group, -1, -1).flatten(1, 2)
    expected = ((scores + every).softmax(dim=-1) @ values).transpose(1, 2)
    assert not expected.isnan().any()
    tolerance = 2e-2 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(read.double(), expected, rtol=tolerance, atol=tolerance)
    assert read.dtype == dtype

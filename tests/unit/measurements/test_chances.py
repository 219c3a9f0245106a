"""Probabilities of what is followed, which are all that is kept of a vocabulary."""

from __future__ import annotations

import math

import pytest
import torch

from mmflow_bench.measurements import answer
from mmflow_bench.measurements.answer import chances, probabilities

VOCABULARY = 50


@pytest.mark.parametrize("at_once", [1, 3 * VOCABULARY, 2**22])
def test_chances_are_those_of_the_whole_softmax_however_many_rows_at_once(monkeypatch, at_once):
    monkeypatch.setattr(answer, "_PROBABILITIES_AT_ONCE", at_once)
    logits = 5 * torch.randn(7, VOCABULARY, generator=torch.Generator().manual_seed(1))
    found, expected = chances(logits, [[3], [0, 4, 9]]), probabilities(logits)
    assert found.dtype == torch.float64
    assert torch.equal(found[:, 0], expected[:, 3])
    assert torch.equal(found[:, 1], expected[:, [0, 4, 9]].sum(dim=-1))


def test_a_row_that_overflows_is_nan_and_no_other():
    logits = torch.zeros(4, VOCABULARY)
    logits[1, 7], logits[2, 7], logits[3, 7] = math.nan, math.inf, -math.inf
    # A token that is suppressed takes nothing from others.
    assert chances(logits, [[3], [4, 5]]).isnan().any(dim=-1).tolist() == [False, True, True, False]

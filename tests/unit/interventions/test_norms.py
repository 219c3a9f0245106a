"""Norms that take the way of features, and activations that are massive."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.interventions.massive import massive_like_the_first
from mmflow_bench.interventions.tower import _norms_by_row, _read, _written


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_precision_rounds_a_norm_away(dtype: torch.dtype) -> None:
    norms = torch.tensor([57.03, 0.001, 3021.7, 0.0])
    written = _written(norms, torch.empty(4, 16, dtype=dtype))
    assert written.dtype == dtype
    torch.testing.assert_close(_read(written.float()), norms, rtol=1e-6, atol=1e-6)


def test_norms_between_two_patches_are_read_in_proportion_and_scaled_ones_as_they_are() -> None:
    written = _written(torch.tensor([10.0, 30.0]), torch.empty(2, 8))
    between = 0.25 * written[:1] + 0.75 * written[1:]
    assert _read(between).tolist() == pytest.approx([25.0])
    assert _read(0.125 * written).tolist() == pytest.approx([10.0, 30.0])


def test_words_and_newlines_show_no_feature() -> None:
    only_first = torch.zeros(8)
    only_first[0] = 4096.0
    states = torch.stack([torch.randn(8), only_first, torch.zeros(8)])
    assert _read(states).isnan().all()


def test_a_position_of_several_features_has_the_largest_norm_of_those_that_are_neighbours() -> None:
    features = torch.diag(torch.arange(1.0, 9.0))
    output = torch.empty(2, 8)
    assert _norms_by_row(features, output, merges=False) is None
    merged = _norms_by_row(features, output, merges=True)
    assert merged is not None
    assert merged.tolist() == [4.0, 8.0]
    assert _norms_by_row(features, torch.empty(3, 8), merges=True) is None


def test_massive_is_what_is_so_where_the_first_position_is() -> None:
    hidden = torch.full((4, 1024), 0.1)
    hidden[0, 7] = 100.0
    hidden[1, 7] = -50.0
    hidden[2, 9] = 100.0
    found = massive_like_the_first(hidden)
    assert found[0] > 31
    assert found[1] > 31
    assert found[2] < 1
    assert found[3] == pytest.approx(1.0)
    assert massive_like_the_first(hidden.bfloat16())[1] > 31
    assert massive_like_the_first(1e4 * hidden)[1] == pytest.approx(float(found[1]), rel=1e-5)


def test_without_a_massive_first_position_nothing_is_massive() -> None:
    hidden = torch.full((3, 1024), 0.1)
    hidden[1, 7] = 100.0
    assert massive_like_the_first(hidden).tolist() == [0.0, 0.0, 0.0]
    assert massive_like_the_first(torch.zeros(2, 8)).tolist() == [0.0, 0.0]

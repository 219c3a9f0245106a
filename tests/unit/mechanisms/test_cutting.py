"""What is said of answers while several edges are cut, from tables whose numbers are known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mmflow_bench.measurements.cut_paths import CutPathsTable
from mmflow_bench.measurements.head_masks import PAIRS, HeadMasks
from mmflow_bench.mechanisms.cutting import CutEffect, log_odds
from mmflow_bench.mechanisms.heads import HeadAttribution
from mmflow_bench.mechanisms.verdicts import Inconclusive

COUNT = 200


def effect(knockout: Any, clean: float = 0.9, count: int = COUNT, **changes: Any) -> CutEffect:
    names = tuple(f"{i}" for i in range(count))
    table = CutPathsTable(
        task="ChooseAttr",
        name="image->last",
        question_ids=names,
        image_ids=names,
        base_probability=np.full(count, clean),
        knockout_probability=np.broadcast_to(np.asarray(knockout, float), count).copy(),
        is_likeliest=np.full(count, True),
    )
    return CutEffect(table=replace(table, **changes), alpha=0.05)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.81, 1.0, 1.2])
def test_faithfulness_is_a_share_of_what_the_image_adds(share: float) -> None:
    # Words alone give log-odds of 1, the image adds 2.
    found = effect(sigmoid(1 + 2 * share), clean=sigmoid(3)).faithfulness(effect(sigmoid(1)))
    assert found.value == pytest.approx(share)
    assert found.low - 1e-9 <= share <= found.high + 1e-9


def test_an_image_that_adds_nothing_has_no_faithfulness() -> None:
    with pytest.raises(Inconclusive, match="adds next to nothing"):
        effect(0.9, clean=0.9).faithfulness(effect(0.9))


def test_of_no_common_sample_there_is_no_faithfulness() -> None:
    other = tuple(f"other {i}" for i in range(COUNT))
    with pytest.raises(Inconclusive, match="of 0 answers"):
        effect(0.5).faithfulness(effect(0.1, question_ids=other, image_ids=other))


def test_samples_that_only_one_of_both_has_are_left_out() -> None:
    other = tuple(f"{i + 50}" for i in range(COUNT))
    blind = effect(0.1, question_ids=other, image_ids=other)
    assert effect(0.5).faithfulness(blind).n == COUNT - 50


def test_probabilities_of_zero_and_one_have_finite_log_odds() -> None:
    ends = log_odds(np.array([0.0, 0.5, 1.0]))
    assert np.isfinite(ends).all()
    assert ends[1] == 0
    assert ends[0] == pytest.approx(-ends[2])


def test_changes_and_shares_are_means_over_samples() -> None:
    half = np.arange(COUNT) % 2 == 0
    found = effect(np.where(half, 0.9, 0.45), is_likeliest=half)
    assert found.change.value == pytest.approx(-0.25)
    assert found.likeliest.value == pytest.approx(0.5)
    assert found.probability.value == pytest.approx(0.675)


def test_one_sample_shows_nothing() -> None:
    with pytest.raises(Inconclusive):
        assert effect(0.1, count=1).change <= -0.1


def heads(count: int = 60, whole: float = 1.0) -> HeadAttribution:
    """Samples of 40 layers with 2 heads each that all carry the same."""
    example = HeadMasks.of("image -> question").example("ChooseAttr", 40)
    names = tuple(f"{i}" for i in range(count))
    halves = np.random.default_rng(0).random((count, PAIRS, 80)) < 0.5
    share = halves.mean(axis=-1)
    table = replace(
        example,
        question_ids=names,
        image_ids=names,
        halves=halves,
        loss=np.stack([share, 1 - share], axis=-1),
        whole_loss=np.full(count, whole),
    )
    return HeadAttribution(table=table, alpha=0.05)


def test_heads_without_an_effect_have_no_number() -> None:
    with pytest.raises(Inconclusive, match="there is no effect"):
        heads(whole=0.01).number_for(0.8)


def test_heads_that_stand_in_for_each_other_have_no_number() -> None:
    with pytest.raises(Inconclusive, match="stand in for each other"):
        heads(whole=9.0).number_for(0.8)


def test_heads_that_all_carry_the_same_are_many() -> None:
    found = heads()
    assert found.effects.shape == (40, 2)
    np.testing.assert_allclose(found.effects, 1 / 80, atol=1e-6)
    assert found.number_for(0.8).value == 64
    assert len(found.number_for(0.8).curve or ()) == 40

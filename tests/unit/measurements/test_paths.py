"""Wants for several cuts, heads and patched states: what they are called, and what they read."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.errors import MechanismError, StoreError
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.backpatch import BackPatch
from mmflow_bench.measurements.cut_paths import CutPaths
from mmflow_bench.measurements.head_masks import PAIRS, HeadMasks, random_half

CUTS = (Stretch.of("image -> last"), Stretch.of("question -> last", outside=(0.35, 0.75)))


def test_the_order_of_cuts_does_not_matter():
    one, other = CutPaths(stretches=CUTS), CutPaths(stretches=CUTS[::-1] + CUTS)
    assert one == other
    assert (one.shard, one.name) == (other.shard, other.name)


def test_different_cuts_are_kept_apart():
    wants = [
        CutPaths(stretches=CUTS),
        CutPaths(stretches=CUTS[:1]),
        CutPaths(stretches=(Stretch.of("question -> last"),)),
        CutPaths(stretches=(Stretch.of("question -> last", outside=(0.3, 0.75)),)),
        CutPaths(stretches=CUTS, method=Method.UNNORMALISED),
        HeadMasks.of("image -> question"),
        HeadMasks.of("image -> last"),
        BackPatch(late=0.5, early=0.1),
        BackPatch(late=0.5, early=0.2),
    ]
    assert len({want.shard.name for want in wants}) == len(wants)
    assert all(len(want.shard.name) < 100 for want in wants)


@pytest.mark.parametrize(
    "want",
    [CutPaths(stretches=CUTS), HeadMasks.of("image -> question"), BackPatch(late=0.5, early=0.1)],
)
def test_the_example_is_a_table_of_one_sample(want):
    assert want.example("ChooseAttr", 40).question_ids == ("example",)
    assert want.at(9) == want


def test_not_a_number_is_in_no_table():
    example = CutPaths(stretches=CUTS).example("ChooseAttr", 40)
    with pytest.raises(StoreError, match="finite"):
        type(example)(
            **{name: getattr(example, name) for name in example.__slots__}
            | {"knockout_probability": np.array([np.nan])}
        )


def test_random_halves_are_the_same_for_ever():
    half = random_half("0123", 5, layers=40, heads=40)
    assert half.shape == (40, 40)
    assert half[0, :12].tolist() == [bool(int(bit)) for bit in FIRST_BITS]
    assert random_half("0123", 5, layers=40, heads=40).tobytes() == half.tobytes()


FIRST_BITS = "000010010011"


def test_every_head_is_cut_in_half_of_the_masks():
    shares = np.mean(
        [
            random_half(f"sample {i}", pair, layers=5, heads=3)
            for i in range(100)
            for pair in range(PAIRS)
        ],
        axis=0,
    )
    assert np.abs(shares - 0.5).max() < 0.05


@pytest.mark.parametrize("depths", [(0.1, 0.5), (0.5, 0.5), (1.0, 0.5), (0.5, -0.1)])
def test_an_early_layer_comes_before_a_late_one(depths):
    late, early = depths
    with pytest.raises(MechanismError, match="an early depth below a late one"):
        BackPatch(late=late, early=early)


@pytest.mark.parametrize(("count", "layers"), [(40, (30, 10)), (32, (24, 8)), (12, (9, 3))])
def test_depths_scale(count, layers):
    assert BackPatch(late=0.75, early=0.25).layers(count) == layers


def test_a_shallow_decoder_has_an_early_and_a_late_layer():
    assert BackPatch(late=0.5, early=0.1).layers(2) == (1, 0)

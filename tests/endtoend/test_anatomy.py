"""How checkpoints are built and what samples take in them, against what is known of them."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.anatomy import Anatomy
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings

pytestmark = pytest.mark.slow
PATCH, GRID = 14, 6


@pytest.mark.parametrize(
    ("name", "layers", "heads", "positions"),
    [
        ("planted/mini", 12, (4, 4), {36}),
        ("planted/grouped-query", 32, (4, 2), {36}),
        ("planted/tiled", 40, (4, 4), {36 + 6 * 7, 36 + 6 * 13}),
        ("planted/text", 40, (4, 4), {0}),
    ],
)
def test_a_planted_checkpoint_is_built_as_it_is(
    name: str, layers: int, heads: tuple[int, int], positions: set[int]
) -> None:
    settings = MeasurementSettings(limit="8", self_test=False)
    measurements = Measurements.open(resolve_checkpoint(name), settings)
    found = measurements.table("ChooseAttr", Anatomy())
    assert found.is_written
    assert (found.layers, found.heads, found.key_value_heads) == (layers, *heads)
    assert (found.tower, found.tower_layers) == ("clip_vision_model", 2)
    assert (found.tower_pixels, found.patch_pixels) == (GRID * PATCH, PATCH)
    assert set(found.image_positions.tolist()) == positions
    assert found.is_correct.all()

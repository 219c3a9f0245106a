"""How checkpoints are built and what samples take in them, against what is known of them."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.samples import Box
from mmflow_bench.measurements.anatomy import Anatomy
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings

pytestmark = pytest.mark.slow
PATCH, GRID = 14, 6


def touched(boxes: tuple[Box, ...]) -> int:
    """Patches of a scene that share an area with a box, one by one."""
    return sum(
        any(
            box.x < (column + 1) * PATCH
            and box.x + box.width > column * PATCH
            and box.y < (row + 1) * PATCH
            and box.y + box.height > row * PATCH
            for box in boxes
        )
        for row in range(GRID)
        for column in range(GRID)
    )


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
    samples = {one.question_id: one for one in measurements.samples.of("ChooseAttr")}
    for question, patches, related in zip(
        found.question_ids, found.patches, found.related_patches, strict=True
    ):
        if name in ("planted/mini", "planted/grouped-query"):
            assert (patches, related) == (36, touched(samples[question].boxes))
        if name == "planted/text":
            assert (patches, related) == (0, 0)
    assert found.is_correct.all()

"""Planted sinks: where they are, what they say, and what cutting patches without them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.residual import dimension
from mmflow_bench.planted.sinks import DECODER_PATCH, TOWER_PATCH
from mmflow_bench.scenes.letterbox import letterbox_scene_samples
from mmflow_bench.scenes.pictures import GRID
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

SINKS = ("planted/sinks-idle", "planted/tower-sink-read", "planted/decoder-sink-read")
PATCHES_OF = {"sinks": TOWER_PATCH, "decoder_sinks": DECODER_PATCH}
CENTERS = [0, 2, 4, 5, 8, 10, 14, 15, 20]
TOLERANCE = 1e-4


def a_sample(task: str = "ChooseAttr") -> Sample:
    """One whose objects leave the upper corners free."""
    free = (
        one
        for one in scene_samples(seed=6, tasks=[task])
        if all(box.y >= 14 or (box.x >= 14 and box.x + box.width <= 70) for box in one.boxes)
    )
    return next(free)


@pytest.mark.parametrize("without", PATCHES_OF)
@pytest.mark.parametrize("of", ["related", "other"])
@pytest.mark.parametrize("name", SINKS)
def test_curves_without_sinks_are_as_predicted(
    planted: Checkpoints, name: str, of: str, without: str
) -> None:
    checkpoint, sample = planted(name), a_sample()
    places = checkpoint.positions(sample)
    sink = places["image"][PATCHES_OF[without]]
    windows = [range(max(0, c - 4), min(40, c + 5)) for c in CENTERS]
    token = checkpoint.token(sample.answer.capitalize())
    kept = [position for position in places[f"{of}_patches"] if position != sink]
    knocked = checkpoint.without(sample, kept, places["question"], [*windows, range(0)])[:, token]
    edge = f"{of}_without_{without}->question"
    expected = closed_form.relative_change(name, edge, width=9)[CENTERS]
    np.testing.assert_allclose(knocked[:-1] / knocked[-1] - 1, expected, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "without", "deepest"),
    [
        ("sinks-idle", "sinks", -0.6),
        ("sinks-idle", "decoder_sinks", -0.6),
        ("tower-sink-read", "sinks", 0.0),
        ("tower-sink-read", "decoder_sinks", -0.6),
        ("decoder-sink-read", "sinks", -0.6),
        ("decoder-sink-read", "decoder_sinks", 0.0),
    ],
)
def test_the_context_goes_with_the_sink_that_has_it(
    name: str, without: str, deepest: float
) -> None:
    curve = closed_form.relative_change(
        f"planted/{name}", f"other_without_{without}->question", width=9
    )
    assert curve.min() == pytest.approx(deepest, abs=1e-4)
    whole = closed_form.relative_change(f"planted/{name}", "other_patches->question", width=9)
    base = closed_form.relative_change("planted/base", "other_patches->question", width=9)
    np.testing.assert_allclose(whole, base, atol=1e-9)


@pytest.mark.parametrize("name", SINKS)
@torch.inference_mode()
def test_one_patch_stands_out_in_the_tower_and_another_in_the_decoder(
    planted: Checkpoints, name: str
) -> None:
    checkpoint, sample = planted(name), a_sample()
    inputs = checkpoint.encode(sample)
    tower = checkpoint.model.model.vision_tower
    layer = checkpoint.model.config.vision_feature_layer
    seen = tower(inputs["pixel_values"], output_hidden_states=True).hidden_states[layer][0, 1:]
    norms = seen.norm(dim=-1)
    others = torch.arange(len(norms)) != TOWER_PATCH
    assert norms[TOWER_PATCH] > 2.5 * norms[others].max()
    state = checkpoint.model(**inputs, output_hidden_states=True).hidden_states[20][0]
    is_massive = state[:, dimension("massive")] > 1000
    image = checkpoint.positions(sample)["image"]
    assert is_massive.nonzero().flatten().tolist() == [0, image[DECODER_PATCH]]


@pytest.mark.parametrize("of", ["padding_patches", "other_patches", "rest"])
def test_what_padding_alone_carries_goes_with_it_and_stays_without_it(
    planted: Checkpoints, of: str
) -> None:
    checkpoint = planted("planted/padding-read")
    (sample,) = letterbox_scene_samples(per_task=1, seed=3, tasks=["ChooseAttr"])
    places = checkpoint.positions(sample)
    padding = {*places["image"][:GRID], *places["image"][-GRID:]}
    rest = [position for position in places["other_patches"] if position not in padding]
    cut = {"padding_patches": sorted(padding), "rest": rest}.get(of, places["other_patches"])
    windows = [range(max(0, c - 4), min(40, c + 5)) for c in CENTERS]
    token = checkpoint.token(sample.answer.capitalize())
    knocked = checkpoint.without(sample, cut, places["question"], [*windows, range(0)])[:, token]
    expected = np.zeros(len(CENTERS))
    if of != "rest":
        curve = closed_form.relative_change("planted/padding-read", f"{of}->question", width=9)
        expected = curve[CENTERS]
        assert expected.min() == pytest.approx(-0.6, abs=1e-4)
    np.testing.assert_allclose(knocked[:-1] / knocked[-1] - 1, expected, atol=TOLERANCE)

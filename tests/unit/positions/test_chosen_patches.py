"""Patches that are drawn at random, that show padding, or that a forward pass takes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPVisionConfig, LlavaConfig, PretrainedConfig

from mmflow_bench.checkpoints.families.layout import Axis, ImageLayout, PatchGrid
from mmflow_bench.errors import PositionError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.positions.chosen import matched, patches_of_padding
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import MEASURED_ROLES, WITHOUT, Role
from mmflow_bench.positions.sinks import PAPER_THRESHOLD, is_papers_tower, sink_threshold

OTHER_TOWER = PretrainedConfig()
SAMPLE = Sample(
    question_id="007",
    image_id="photo",
    task="ChooseAttr",
    question="What color is the cup, red or blue?",
    answer="red",
    true_option="red",
    false_option="blue",
    object_names=("cup",),
    boxes=(Box(x=0.0, y=0.0, width=10.0, height=10.0),),
    image=Image.new("RGB", (40, 40), "gray"),
)


def papers_tower(**changes):
    vision = {"image_size": 336, "patch_size": 14, "hidden_size": 1024, "num_hidden_layers": 24}
    config = CLIPVisionConfig(**{**vision, **changes}, num_attention_heads=16)
    return LlavaConfig(vision_config=config)


def axis(original, *, scale=1.0, offset=0.0, processed=40):
    return Axis(original=original, scale=scale, offset=offset, processed=processed)


def test_the_draw_depends_on_content_and_positions_alone():
    drawn = matched(range(100), count=7, content="a cup")
    assert drawn == matched(reversed(range(100)), count=7, content="a cup")
    assert len(set(drawn)) == 7
    assert drawn != matched(range(100), count=7, content="a box")
    # The same in every version: what a store holds was drawn once.
    assert drawn == [28, 7, 56, 54, 5, 96, 22]


def test_every_position_is_drawn_about_as_often():
    counts = np.zeros(10)
    for number in range(2000):
        counts[matched(range(10), count=3, content=str(number))] += 1
    assert np.abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


def test_patches_of_padding_are_those_that_no_pixel_of_the_photo_reaches():
    # A photo of 40 x 18 in a square of 40: rows from 11 to 29 of patches of 10.
    grid = PatchGrid(horizontal=axis(40), vertical=axis(18, offset=11.0), patch_size=10)
    assert patches_of_padding(ImageLayout(grids=(grid,))) == [0, 1, 2, 3, 12, 13, 14, 15]
    # One that only touches a patch does not show there, whatever rounding says.
    touching = replace(grid, vertical=axis(20, offset=10.0 + 1e-9))
    assert patches_of_padding(ImageLayout(grids=(touching,))) == [0, 1, 2, 3, 12, 13, 14, 15]
    cropped = replace(grid, horizontal=axis(80, offset=-20.0), vertical=axis(40))
    assert patches_of_padding(ImageLayout(grids=(cropped,))) == []


def test_matched_patches_are_as_many_others_as_there_are_related_ones(image_checkpoint):
    checkpoint = image_checkpoint("bytes")
    roles = resolve_roles(encode(SAMPLE, checkpoint), checkpoint)
    drawn = roles[Role.MATCHED_PATCHES]
    assert len(drawn) == len(roles[Role.RELATED_PATCHES])
    assert set(drawn) <= set(roles[Role.OTHER_PATCHES])
    renamed = replace(SAMPLE, question_id="another", image_id="file")
    assert resolve_roles(encode(renamed, checkpoint), checkpoint)[Role.MATCHED_PATCHES] == drawn


def test_without_enough_others_no_patches_are_matched(image_checkpoint):
    checkpoint = image_checkpoint("bytes")
    large = replace(SAMPLE, boxes=(Box(x=0.0, y=0.0, width=40.0, height=30.0),))
    roles = resolve_roles(encode(large, checkpoint), checkpoint)
    assert len(roles[Role.RELATED_PATCHES]) > len(roles[Role.OTHER_PATCHES])
    with pytest.raises(PositionError) as caught:
        _ = roles[Role.MATCHED_PATCHES]
    assert caught.value.reason == "too-few-other-patches"
    assert roles.unavailable[Role.PADDING_PATCHES].reason == "no-padding"


def test_roles_of_sinks_are_asked_for_when_they_are_needed_and_not_before(image_checkpoint):
    checkpoint = image_checkpoint("bytes")
    encoded, asked = encode(SAMPLE, checkpoint), []
    other = resolve_roles(encoded, checkpoint)[Role.OTHER_PATCHES]

    def find(role):
        asked.append(role)
        return frozenset(other[:1]) if role is Role.SINKS else frozenset()

    roles = resolve_roles(encoded, checkpoint, find)
    assert asked == []
    assert roles[Role.SINKS] == other[:1]
    assert roles[Role.OTHER_WITHOUT_SINKS] == other[1:]
    assert roles[Role.RELATED_WITHOUT_SINKS] == roles[Role.RELATED_PATCHES]
    assert roles[Role.OTHER_WITHOUT_DECODER_SINKS] == other
    with pytest.raises(PositionError) as caught:
        _ = roles[Role.DECODER_SINKS]
    assert caught.value.reason == "empty-role"


def test_a_role_whose_patches_are_all_sinks_is_no_empty_set(image_checkpoint):
    checkpoint = image_checkpoint("bytes")
    encoded = encode(SAMPLE, checkpoint)
    everything = frozenset(range(len(encoded.offsets)))
    roles = resolve_roles(encoded, checkpoint, lambda _: everything)
    for role in WITHOUT:
        with pytest.raises(PositionError) as caught:
            _ = roles[role]
        assert caught.value.reason == "empty-role"


def test_without_a_pass_roles_of_sinks_say_so(image_checkpoint):
    checkpoint = image_checkpoint("bytes")
    roles = resolve_roles(encode(SAMPLE, checkpoint), checkpoint)
    assert not MEASURED_ROLES & (roles.positions.keys() | roles.unavailable.keys())
    with pytest.raises(PositionError, match="a forward pass for the role sinks") as caught:
        _ = roles[Role.SINKS]
    assert caught.value.reason == "needs-forward-pass"


def test_what_the_whole_role_lacks_is_said_before_any_pass(text_checkpoint):
    checkpoint = text_checkpoint()
    encoded = encode(replace(SAMPLE, caption="a cup."), checkpoint)
    roles = resolve_roles(encoded, checkpoint, lambda role: pytest.fail(str(role)))
    with pytest.raises(PositionError) as caught:
        _ = roles[Role.OTHER_WITHOUT_SINKS]
    assert caught.value.reason == "no-image"


def test_the_papers_threshold_is_for_its_tower():
    assert is_papers_tower(papers_tower())
    assert not is_papers_tower(papers_tower(image_size=224))
    assert not is_papers_tower(papers_tower(num_hidden_layers=12))
    assert not is_papers_tower(OTHER_TOWER)
    other_layer = papers_tower()
    other_layer.vision_feature_layer = -1
    assert not is_papers_tower(other_layer)
    assert sink_threshold(np.array([10.0, 60.0]), papers_tower()) == PAPER_THRESHOLD


@pytest.mark.parametrize(("patches", "sinks"), [(576, 3), (36, 1), (2, 1), (2880, 16)])
def test_other_towers_have_the_papers_share_of_sinks(patches, sinks):
    norms = np.random.default_rng(0).permutation(np.geomspace(10, 1000, patches) ** 3)
    threshold = sink_threshold(norms, OTHER_TOWER)
    assert (norms > threshold).sum() == sinks


@pytest.mark.parametrize("norms", [[5.0], [], [7.0] * 36, [7.0, 7.0] * 300])
def test_patches_that_are_alike_are_no_sinks(norms):
    norms = np.array(norms)
    noisy = norms * (1 + 1e-4 * np.arange(len(norms)) / max(1, len(norms)))
    assert not (noisy > sink_threshold(noisy, OTHER_TOWER)).any()


def test_of_tied_outliers_at_the_border_none_is_taken_alone():
    norms = np.array([1.0] * 34 + [50.0, 50.0])
    assert not (norms > sink_threshold(norms, OTHER_TOWER)).any()

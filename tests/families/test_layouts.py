"""Which position shows which part of the photo, found by repainting that part and looking.

The vision tower's attention is switched off for this, so that each position sees its own pixels and
nothing else; what the layout says is compared with what then changes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from families import FAMILIES
from PIL import Image

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.positions.resolve import resolve_roles

OUTPUTS = ("out_proj", "attn.proj", "projection_layer", "attention.o_proj")
"""How vision towers name the projection after attention."""
PHOTOS = ((90, 60), (56, 117))


@pytest.fixture
def local_checkpoint(family_checkpoint):
    """A checkpoint whose patches do not see each other; restored afterwards."""
    changed = []

    def build(family):
        checkpoint = family_checkpoint(family)
        outputs = [
            module
            for name, module in checkpoint.model.named_modules()
            if name.endswith(OUTPUTS) and ("vision" in name or "visual" in name)
        ]
        assert outputs
        for module in outputs:
            for parameter in module.parameters():
                changed.append((parameter, parameter.clone()))
                parameter.zero_()
        return checkpoint

    yield build
    for parameter, value in changed:
        parameter.copy_(value)


def _features(checkpoint, sample, image):
    encoded = encode(replace(sample, image=image), checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    (clean,) = clean_passes(checkpoint, [inputs])
    positions = encoded.input_ids == checkpoint.parts.image_token_id
    return encoded.layout, clean.embeddings[positions]


def _pixels(axis, patch, cell):
    """The pixels of the photo that a row or column of patches shows."""
    edges = [((cell + end) * patch - axis.offset) / axis.scale for end in (0, 1)]
    return max(0, round(edges[0])), min(axis.original, round(edges[1]))


@pytest.mark.parametrize("size", PHOTOS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_position_shows_its_part_of_the_photo(local_checkpoint, photo_sample, family, size):
    checkpoint = local_checkpoint(family)
    sample = photo_sample(*size)
    layout, before = _features(checkpoint, sample, sample.image)
    shown = {
        grid.token(row, column)
        for grid in layout.grids
        for row in range(grid.rows)
        for column in range(grid.columns)
    }
    assert shown | set(layout.newlines) == set(range(len(before)))
    assert len(shown) == sum(grid.rows * grid.columns for grid in layout.grids)
    for grid in layout.grids:
        tokens = {
            grid.token(row, column): (row, column)
            for row in range(grid.rows)
            for column in range(grid.columns)
        }
        for token, (row, column) in tokens.items():
            left, right = _pixels(grid.horizontal, grid.patch_size, column)
            top, bottom = _pixels(grid.vertical, grid.patch_size, row)
            if right - left < 3 or bottom - top < 3:
                continue
            pixels = np.array(sample.image)
            pixels[top:bottom, left:right] = 255 - pixels[top:bottom, left:right]
            _, after = _features(checkpoint, sample, Image.fromarray(pixels))
            moved = (after - before).norm(dim=-1)
            most = max(tokens, key=lambda other: float(moved[other]))
            assert most == token, f"{(row, column)} of {grid}, changed {tokens[most]}"


def test_views_beyond_what_a_layout_knows_have_none(family_checkpoint, photo_sample, monkeypatch):
    """Gemma 3 with pan and scan: crops of sizes that depend on the photo."""
    checkpoint = family_checkpoint("gemma3")
    asked = {
        "do_pan_and_scan": True,
        "pan_and_scan_min_crop_size": 20,
        "pan_and_scan_max_num_crops": 4,
        "pan_and_scan_min_ratio_to_activate": 1.2,
    }
    monkeypatch.setattr(checkpoint.processor, "images_kwargs", asked)
    encoded = encode(photo_sample(120, 60), checkpoint)
    views = len(encoded.model_inputs["pixel_values"])
    assert views > 1
    roles = resolve_roles(encoded, checkpoint)
    assert roles.unavailable["related_patches"].reason == "unsupported-image-grid"
    assert len(roles["image"]) == 16 * views


@pytest.mark.parametrize("family", ["idefics3", "internvl", "qwen2_vl", "gemma3"])
def test_roles_are_what_their_tokens_say(family_checkpoint, photo_sample, family):
    checkpoint = family_checkpoint(family)
    sample = photo_sample()
    encoded = encode(sample, checkpoint)
    roles = resolve_roles(encoded, checkpoint)
    ids = encoded.input_ids.tolist()
    assert {ids[position] for position in roles["image"]} == {checkpoint.parts.image_token_id}
    assert checkpoint.tokenizer.decode([ids[p] for p in roles["question"]]).strip() == (
        sample.question
    )
    end = checkpoint.tokenizer.decode([ids[p] for p in (*roles["suffix"], *roles["last"])])
    assert end.strip().startswith("Answer the question")
    # Row, column and thumbnail markers carry no image features: they are text before the question.
    covered = [set(roles[role]) for role in ("prefix", "image", "question", "suffix", "last")]
    assert set.union(*covered) == set(range(len(ids)))
    assert sum(map(len, covered)) == len(ids)


def test_several_axes_of_positions_only_where_the_family_has_them(family_checkpoint, photo_sample):
    axes = {}
    for family in ("qwen2_vl", "qwen2_5_vl", "internvl"):
        checkpoint = family_checkpoint(family)
        encoded = encode(photo_sample(), checkpoint)
        inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
        (clean,) = clean_passes(checkpoint, [inputs])
        axes[family] = tuple(clean.positions.shape[:-1])
        # Rows and columns of the grid, not a count: an image is shorter than its positions.
        is_count = torch.equal(
            clean.positions.reshape(-1)[: clean.length], torch.arange(clean.length)
        )
        assert is_count is (family == "internvl")
    assert axes == {"qwen2_vl": (3,), "qwen2_5_vl": (3,), "internvl": ()}


def test_images_that_see_their_own_future_are_recognised(family_checkpoint, photo_sample):
    """PaliGemma's whole prompt and Gemma 3's image block attend in both directions."""
    seen = {}
    for family in ("paligemma", "gemma3", "internvl"):
        checkpoint = family_checkpoint(family)
        encoded = encode(photo_sample(), checkpoint)
        inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
        (clean,) = clean_passes(checkpoint, [inputs])
        seen[family] = int(sum(bool(mask.triu(1).any()) for mask in clean.visible))
    assert seen == {"paligemma": 4, "gemma3": 4, "internvl": 0}

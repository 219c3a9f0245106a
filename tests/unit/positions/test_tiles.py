"""Patches of tiles in a model of the true geometry: which positions change with a region."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
)
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.positions.resolve import patches_overlapping, resolve_roles
from mmflow_bench.positions.roles import Role

SIDE, PATCH = 336, 14
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
# Photos of the published questions: four tiles, two, three, and two tied grids.
SIZES = [(500, 375), (375, 500), (333, 500), (1024, 300), (320, 240), (240, 166)]


@pytest.fixture(scope="module", params=["hub", "paper"])
def checkpoint(
    request: pytest.FixtureRequest, tiled_checkpoint: LoadedCheckpoint
) -> LoadedCheckpoint:
    torch.manual_seed(0)
    tokenizer = tiled_checkpoint.tokenizer
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_grid_pinpoints=PINPOINTS,
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=PATCH,
        ),
        # Of one layer: the embeddings of patches, each of which sees its own patch alone.
        vision_feature_layer=-2,
        text_config=LlamaConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=4096,
            vocab_size=len(tokenizer),
        ),
        image_token_id=tiled_checkpoint.parts.image_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    spec = replace(tiled_checkpoint.spec, input=request.param, conversation="vicuna_v1")
    model = LlavaNextForConditionalGeneration(config)
    return assemble_checkpoint(model, processor, spec=spec, identity="0" * 64)


def a_sample(image: Image.Image, box: Box) -> Sample:
    return Sample(
        question_id="1",
        image_id="photo",
        task="ChooseAttr",
        question="What color is the cup, red or blue?",
        answer="red",
        boxes=(box,),
        image=image,
    )


@torch.inference_mode()
def features(checkpoint: LoadedCheckpoint, encoded: EncodedSample) -> torch.Tensor:
    """(position, hidden): what the decoder is given."""
    seen: list[torch.Tensor] = []
    hook = checkpoint.model.get_decoder().register_forward_pre_hook(
        lambda _, __, keywords: seen.append(keywords["inputs_embeds"]), with_kwargs=True
    )
    checkpoint.model(input_ids=encoded.input_ids[None], **encoded.model_inputs)
    hook.remove()
    return seen[0][0]


@pytest.mark.parametrize("size", SIZES)
def test_a_region_changes_the_positions_whose_patches_it_overlaps(
    checkpoint: LoadedCheckpoint, size: tuple[int, int]
) -> None:
    width, height = size
    box = Box(
        x=float(width // 3), y=float(height // 4), width=width // 4 + 0.0, height=height // 3 + 0.0
    )
    plain = np.full((height, width, 3), 90, dtype=np.uint8)
    changed_photo = plain.copy()
    rows = slice(int(box.y), int(box.y + box.height))
    changed_photo[rows, int(box.x) : int(box.x + box.width)] = 200
    first, second = (
        encode(a_sample(Image.fromarray(photo), box), checkpoint)
        for photo in (plain, changed_photo)
    )
    differs = (features(checkpoint, first) != features(checkpoint, second)).any(dim=-1)
    changed = set(differs.nonzero()[:, 0].tolist())
    roles = resolve_roles(first, checkpoint)
    related = set(roles[Role.RELATED_PATCHES])
    # The bicubic filter mixes up to two pixels beyond an edge, of the photo where it is enlarged
    # and of the view where it is shrunk; what little of a box reaches into a patch may vanish.
    reach = 2.0 * max(1.0, width / SIDE, height / SIDE) + 1.0
    assert first.layout is not None
    image = roles[Role.IMAGE]
    wider, narrower = (
        {
            image[patch]
            for patch in patches_overlapping(
                [
                    Box(
                        x=box.x - by,
                        y=box.y - by,
                        width=box.width + 2 * by,
                        height=box.height + 2 * by,
                    )
                ],
                first.layout,
            )
        }
        for by in (reach, -reach)
    )
    assert narrower <= changed <= wider
    assert narrower <= related <= wider
    assert len(related ^ changed) < len(related) / 2
    assert not changed & set(roles[Role.NEWLINE])
    parts = (Role.RELATED_PATCHES, Role.OTHER_PATCHES, Role.NEWLINE)
    assert sorted(position for role in parts for position in roles[role]) == list(image)


def test_roles_of_a_photo_that_is_cut_into_four_tiles(checkpoint: LoadedCheckpoint) -> None:
    # 500 x 375 becomes 672 x 504 in 672 x 672: 36 rows of 48 patches, and 24 x 24 for the whole.
    box = Box(x=250.0, y=0.0, width=250.0, height=125.0)
    encoded = encode(a_sample(Image.new("RGB", (500, 375)), box), checkpoint)
    roles = resolve_roles(encoded, checkpoint)
    first = roles[Role.IMAGE][0]
    assert len(roles[Role.IMAGE]) == 576 + 36 * 49 == 2340
    assert roles[Role.NEWLINE] == tuple(first + 576 + 49 * row + 48 for row in range(36))
    whole = {first + 24 * row + column for row in range(8) for column in range(12, 24)}
    tiles = {first + 576 + 49 * row + column for row in range(12) for column in range(24, 48)}
    assert set(roles[Role.RELATED_PATCHES]) == whole | tiles

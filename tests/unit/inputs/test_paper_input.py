"""The paper's input against strings written out and pixels computed with PIL alone."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS
from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.settings import with_patch_rule
from mmflow_bench.errors import CheckpointError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.forms import prompt_identity
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

Build = Callable[..., LoadedCheckpoint]

QUESTION = "What color is the cup, red or blue?"
PROMPTS = {
    "vicuna_v1": (
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions. USER: <image>\n"
        "What color is the cup, red or blue? \n"
        "Answer the question using a single word or phrase. ASSISTANT:"
    ),
    "llava_llama_3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "You are a helpful language and vision assistant. You are able to understand the visual "
        "content that the user provides, and assist the user with a variety of tasks using natural "
        "language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "<image>\nWhat color is the cup, red or blue? \n"
        "Answer the question using a single word or phrase.<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n \n"
    ),
    "mistral_instruct": (
        "[INST] <image>\nWhat color is the cup, red or blue? \n"
        "Answer the question using a single word or phrase. [/INST]"
    ),
    "chatml_direct": (
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n"
        "<image>\nWhat color is the cup, red or blue? \n"
        "Answer the question using a single word or phrase.<|im_end|><|im_start|>assistant\n"
    ),
    "qwen_1_5": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<image>\nWhat color is the cup, red or blue? \n"
        "Answer the question using a single word or phrase.<|im_end|>\n<|im_start|>assistant\n"
    ),
}


def as_published(
    checkpoint: LoadedCheckpoint, conversation: str = "vicuna_v1", **changes: Any
) -> LoadedCheckpoint:
    spec = replace(checkpoint.spec, input="paper", conversation=conversation)
    model = deepcopy(checkpoint.model)
    loaded = assemble_checkpoint(model, checkpoint.processor, spec=spec, identity="0" * 64)
    return replace(loaded, **changes)


def a_photo(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(noise.astype(np.uint8))


def a_sample(**changes: Any) -> Sample:
    return replace(
        Sample(
            question_id="007",
            image_id="photo",
            task="ChooseAttr",
            question=QUESTION,
            answer="red",
            true_option="red",
            false_option="blue",
            object_names=("cup",),
            boxes=(Box(x=0.0, y=0.0, width=20.0, height=20.0),),
            image=a_photo(60, 40),
        ),
        **changes,
    )


def asked(encoded: EncodedSample) -> str:
    start, end = encoded.question_span
    return encoded.text[start:end]


def test_every_template_is_written_out_here() -> None:
    assert set(PROMPTS) == set(CONVERSATIONS)


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
def test_prompts_are_those_of_the_original_templates(
    image_checkpoint: Build, kind: str, name: str
) -> None:
    encoded = encode(a_sample(), as_published(image_checkpoint(kind), name))
    assert encoded.prompt == PROMPTS[name]
    assert encoded.text == PROMPTS[name].replace("<image>", "<image>" * 16)
    assert asked(encoded) == QUESTION


@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
@pytest.mark.parametrize("name", PROMPTS)
def test_each_side_of_the_image_is_tokenized_on_its_own(
    image_checkpoint: Build, kind: str, name: str
) -> None:
    checkpoint = as_published(image_checkpoint(kind), name)
    tokenizer = checkpoint.tokenizer
    before, after = (
        tokenizer(side, add_special_tokens=False)["input_ids"]
        for side in PROMPTS[name].split("<image>")
    )
    image = [checkpoint.parts.image_token_id] * 16
    ids = encode(a_sample(), checkpoint).input_ids.tolist()
    assert ids == [tokenizer.bos_token_id, *before, *image, *after]


def test_offsets_cover_the_characters_of_their_tokens(image_checkpoint: Build) -> None:
    checkpoint = as_published(image_checkpoint("bytes"))
    encoded = encode(a_sample(), checkpoint)
    tokens = checkpoint.tokenizer.convert_ids_to_tokens(encoded.input_ids.tolist())
    assert encoded.offsets[0] == (0, 0)
    for token, (start, end) in zip(tokens[1:], encoded.offsets[1:], strict=True):
        written = token.replace("Ġ", " ").replace("Ċ", "\n")
        assert encoded.text[start:end].strip() == written.strip()


def test_a_tokenizer_that_adds_no_space_gets_one(image_checkpoint: Build) -> None:
    checkpoint = as_published(image_checkpoint("sentencepiece"))
    expected = encode(a_sample(), checkpoint)
    tokenizer = deepcopy(checkpoint.tokenizer)
    content = tokenizer.backend_tokenizer.normalizer
    # Without `Prepend`, the first of the two normalizers, no space is put before a text.
    tokenizer.backend_tokenizer.normalizer = content[1]
    encoded = encode(a_sample(), replace(checkpoint, tokenizer=tokenizer))
    assert tokenizer.tokenize("a")[0] == "a"
    assert encoded.input_ids.tolist() == expected.input_ids.tolist()
    covered = [
        [text.text[slice(*offset)].strip() for offset in text.offsets]
        for text in (encoded, expected)
    ]
    assert covered[0] == covered[1]


def test_the_llama_3_sequence_begins_twice(image_checkpoint: Build) -> None:
    checkpoint = as_published(image_checkpoint("bytes"), "llava_llama_3")
    tokenizer = deepcopy(checkpoint.tokenizer)
    tokenizer.add_special_tokens({"bos_token": "<|begin_of_text|>"})
    model = deepcopy(checkpoint.model)
    model.resize_token_embeddings(len(tokenizer))
    start = tokenizer.bos_token_id
    own = replace(checkpoint, tokenizer=tokenizer, model=model)
    ids = encode(a_sample(), own).input_ids.tolist()
    assert ids[:2] == [start, start]
    assert ids.count(start) == 2


def test_captions_stand_before_the_question(text_checkpoint: Build) -> None:
    encoded = encode(a_sample(caption="a red cup.\na table."), as_published(text_checkpoint()))
    expected = PROMPTS["vicuna_v1"].replace("<image>\n", "a red cup.\na table.\n")
    assert encoded.prompt == encoded.text == expected
    assert encoded.caption_span is not None
    start, end = encoded.caption_span
    assert encoded.text[start:end] == "a red cup.\na table."
    assert asked(encoded) == QUESTION
    assert encoded.model_inputs == {}


def test_captions_stand_in_for_a_missing_image(image_checkpoint: Build) -> None:
    encoded = encode(a_sample(image=None, caption="a cup"), as_published(image_checkpoint()))
    assert encoded.prompt == PROMPTS["vicuna_v1"].replace("<image>\n", "a cup\n")
    assert encoded.model_inputs == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": " "}, "empty-question"),
        ({"question": "What is <image> here?"}, "special-token-in-text"),
        ({"question": "What is </s> here?"}, "special-token-in-text"),
        ({"image": None}, "missing-image"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_reason(
    image_checkpoint: Build, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SampleError, match="007") as caught:
        encode(a_sample(**changes), as_published(image_checkpoint()))
    assert caught.value.reason == reason


def test_an_unknown_template_is_refused_with_the_closest(image_checkpoint: Build) -> None:
    with pytest.raises(CheckpointError, match="closest is 'vicuna_v1'"):
        encode(a_sample(), as_published(image_checkpoint(), "vicuna_v2"))


def normalised(image: Image.Image, checkpoint: LoadedCheckpoint) -> torch.Tensor:
    own = checkpoint.processor.image_processor
    mean, std = np.array(own.image_mean), np.array(own.image_std)
    values = (np.asarray(image, dtype=np.float64) / 255 - mean) / std
    return torch.tensor(values, dtype=torch.float32).permute(2, 0, 1)


@pytest.mark.parametrize("size", [(60, 40), (41, 90), (30, 30), (7, 60)])
def test_photos_are_padded_with_the_mean_colour_and_resized_by_pil(
    image_checkpoint: Build, size: tuple[int, int]
) -> None:
    checkpoint = as_published(image_checkpoint())
    assert checkpoint.image_aspect_ratio == "pad"
    photo = a_photo(*size)
    side = max(size)
    square = Image.new("RGB", (side, side), (122, 116, 104))
    square.paste(photo, ((side - size[0]) // 2, (side - size[1]) // 2))
    expected = normalised(square.resize((28, 28), Image.Resampling.BICUBIC), checkpoint)
    pixels = encode(a_sample(image=photo, boxes=()), checkpoint).model_inputs["pixel_values"]
    # A level of colour is 0.015; what is left is the order of float operations.
    assert torch.allclose(pixels[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("ratio", ["square", None])
def test_without_padding_photos_are_resized_and_cropped(
    image_checkpoint: Build, ratio: str | None
) -> None:
    checkpoint = as_published(image_checkpoint(), image_aspect_ratio=ratio)
    photo = a_photo(60, 40)
    resized = photo.resize((42, 28), Image.Resampling.BICUBIC)
    expected = normalised(resized.crop((7, 0, 35, 28)), checkpoint)
    pixels = encode(a_sample(image=photo, boxes=()), checkpoint).model_inputs["pixel_values"]
    assert torch.allclose(pixels[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (41, 57), (30, 30), (90, 25), (20, 14)])
def test_tiles_are_cut_from_the_photo_that_pil_has_resized_and_padded(
    tiled_checkpoint: LoadedCheckpoint, size: tuple[int, int]
) -> None:
    checkpoint = as_published(tiled_checkpoint)
    photo = a_photo(*size)
    # As the original reads them: width first, in the order of the file.
    wide, high = best_grid(size, checkpoint.processor.image_processor.image_grid_pinpoints)
    scale = min(wide / size[0], high / size[1])
    if wide / size[0] < high / size[1]:
        fitted = (wide, min(int(np.ceil(size[1] * scale)), high))
    else:
        fitted = (min(int(np.ceil(size[0] * scale)), wide), high)
    canvas = Image.new("RGB", (wide, high), (0, 0, 0))
    resized = photo.resize(fitted, Image.Resampling.BICUBIC)
    canvas.paste(resized, ((wide - fitted[0]) // 2, (high - fitted[1]) // 2))
    views = [photo.resize((28, 28), Image.Resampling.BICUBIC)]
    views += [
        canvas.crop((left, top, left + 28, top + 28))
        for top in range(0, high, 28)
        for left in range(0, wide, 28)
    ]
    encoded = encode(a_sample(image=photo, boxes=()), checkpoint)
    pixels = encoded.model_inputs["pixel_values"]
    expected = torch.stack([normalised(view, checkpoint) for view in views])
    assert pixels.shape[1] == len(views)
    assert torch.allclose(pixels[0], expected, atol=1e-5, rtol=0)
    assert encoded.model_inputs["image_sizes"].tolist() == [[size[1], size[0]]]
    # The model packs as many features as there are image positions, or it would refuse them.
    logits = checkpoint.model(input_ids=encoded.input_ids[None], **encoded.model_inputs).logits
    assert logits.shape[1] == len(encoded.input_ids)
    assert encoded.layout is not None


def best_grid(size: tuple[int, int], pinpoints: list[list[int]]) -> tuple[int, int]:
    width, height = size

    def worth(pinpoint: list[int]) -> tuple[int, int]:
        wide, high = pinpoint
        scale = min(wide / width, high / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - wide * high

    wide, high = max(pinpoints, key=worth)
    return wide, high


def test_small_photos_take_the_first_of_tied_grids_by_width(
    tiled_checkpoint: LoadedCheckpoint,
) -> None:
    small = a_sample(image=a_photo(20, 14), boxes=())
    image = tiled_checkpoint.parts.image_token_id
    published = encode(small, as_published(tiled_checkpoint)).input_ids.tolist()
    # Tiles one above the other: 4 columns, of 8 rows 4 * 14 / 20 = 2 are left.
    assert published.count(image) == 16 + 2 * (4 + 1)
    own = encode(small, tiled_checkpoint).input_ids.tolist()
    # Side by side: 4 rows, of 8 columns 4 * 20 / 14 = 5 and one of padding are left.
    assert own.count(image) == 16 + 4 * (6 + 1)


def test_assembling_twice_reads_the_pinpoints_alike(tiled_checkpoint: LoadedCheckpoint) -> None:
    once = as_published(tiled_checkpoint)
    twice = as_published(once)
    assert twice.model.config.image_grid_pinpoints == once.model.config.image_grid_pinpoints
    assert once.model.config.image_grid_pinpoints == [[56, 28], [28, 56], [56, 56]]
    assert once.model.model.config is once.model.config


@pytest.mark.parametrize("ratio", ["pad", None, "anyres"])
def test_an_aspect_ratio_that_the_model_cannot_take_is_refused(
    image_checkpoint: Build, tiled_checkpoint: LoadedCheckpoint, ratio: str | None
) -> None:
    checkpoint = image_checkpoint() if ratio == "anyres" else tiled_checkpoint
    with pytest.raises(CheckpointError, match="image_aspect_ratio"):
        encode(a_sample(), as_published(checkpoint, image_aspect_ratio=ratio))


def test_a_kept_class_token_is_counted(image_checkpoint: Build) -> None:
    checkpoint = as_published(image_checkpoint(strategy="full"))
    encoded = encode(a_sample(), checkpoint)
    assert encoded.input_ids.tolist().count(checkpoint.parts.image_token_id) == 17
    logits = checkpoint.model(input_ids=encoded.input_ids[None], **encoded.model_inputs).logits
    assert logits.shape[1] == len(encoded.input_ids)


def test_the_words_of_the_prompt_are_part_of_what_is_measured() -> None:
    assert prompt_identity("paper") != prompt_identity("hub")
    assert "A chat between a curious user" in str(prompt_identity("paper"))


def painted(checkpoint: LoadedCheckpoint) -> LoadedCheckpoint:
    return replace(checkpoint, spec=with_patch_rule(checkpoint.spec, "painted"))


def red_patches(image: Image.Image, side: int) -> set[tuple[int, int]]:
    """Rows and columns of patches of a processed view that hold a pure red pixel."""
    colours = np.asarray(image)
    rows, columns = np.nonzero((colours == (255, 0, 0)).all(-1))
    return {(int(y) // side, int(x) // side) for y, x in zip(rows, columns, strict=True)}


def test_the_published_rule_paints_the_box_and_looks_for_pure_red(image_checkpoint: Build) -> None:
    checkpoint = painted(as_published(image_checkpoint()))
    sample = a_sample(boxes=(Box(x=31.0, y=11.0, width=12.0, height=9.0),))
    photo = a_photo(60, 40)
    # The rectangle includes its last row and column.
    photo.paste((255, 0, 0), (31, 11, 31 + 12 + 1, 11 + 9 + 1))
    square = Image.new("RGB", (60, 60), (122, 116, 104))
    square.paste(photo, (0, 10))
    expected = red_patches(square.resize((28, 28), Image.Resampling.BICUBIC), 7)
    encoded = encode(sample, checkpoint)
    assert encoded.painted is not None
    assert {divmod(patch, 4) for patch in encoded.painted} == expected
    roles = resolve_roles(encoded, checkpoint)
    first = roles[Role.IMAGE][0]
    assert roles[Role.RELATED_PATCHES] == tuple(first + patch for patch in encoded.painted)
    overlap = resolve_roles(encode(sample, as_published(image_checkpoint())), checkpoint)
    assert set(roles[Role.RELATED_PATCHES]) <= set(overlap[Role.RELATED_PATCHES])


def test_the_published_rule_looks_into_the_tiles_too(tiled_checkpoint: LoadedCheckpoint) -> None:
    checkpoint = painted(as_published(tiled_checkpoint))
    photo = a_photo(40, 30)
    sample = a_sample(image=photo.copy(), boxes=(Box(x=22.0, y=4.0, width=9.0, height=8.0),))
    photo.paste((255, 0, 0), (22, 4, 22 + 9 + 1, 4 + 8 + 1))
    # 56 x 42 in the middle of 56 x 56; one row of patches is cut above and below.
    canvas = Image.new("RGB", (56, 56))
    canvas.paste(photo.resize((56, 42), Image.Resampling.BICUBIC), (0, 7))
    squeezed = photo.resize((28, 28), Image.Resampling.BICUBIC)
    expected = {4 * row + column for row, column in red_patches(squeezed, 7)}
    expected |= {16 + 9 * (row - 1) + column for row, column in red_patches(canvas, 7)}
    encoded = encode(sample, checkpoint)
    assert encoded.painted is not None
    assert set(encoded.painted) == expected
    assert max(expected) >= 16 > min(expected)


def test_a_box_that_the_filter_blurs_away_leaves_no_patch_red(image_checkpoint: Build) -> None:
    checkpoint = painted(as_published(image_checkpoint()))
    thin = a_sample(
        image=Image.new("RGB", (600, 400)), boxes=(Box(x=300.0, y=200.0, width=1.0, height=1.0),)
    )
    roles = resolve_roles(encode(thin, checkpoint), checkpoint)
    assert roles.unavailable[Role.RELATED_PATCHES].reason == "empty-role"


def test_the_published_rule_needs_the_published_pixels(image_checkpoint: Build) -> None:
    with pytest.raises(CheckpointError, match="--input=paper"):
        with_patch_rule(image_checkpoint().spec, "painted")
    assert with_patch_rule(image_checkpoint().spec, "overlap") == image_checkpoint().spec

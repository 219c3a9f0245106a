"""Checkpoints of the original LLaVA format compute what their parts compute, to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from original_llava import OriginalLlava, save_native, save_original, save_weights
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.original_config import pinpoints_by_height
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError

BEFORE, AFTER = [1, 5, 9], [300, 310, 42]
PATCHES = 16


def load(folder: Path, choice: str | None = None, **args: str) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(str(folder), model_args=args, input_choice=choice))


@torch.no_grad()
def logits(checkpoint: LoadedCheckpoint, pixels: torch.Tensor, places: int) -> torch.Tensor:
    ids = [*BEFORE, *[checkpoint.parts.image_token_id] * places, *AFTER]
    return checkpoint.model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits


def assert_computes_its_parts(checkpoint: LoadedCheckpoint, original: OriginalLlava) -> None:
    pixels = torch.randn(1, 3, 28, 28, dtype=original.newline.dtype)
    expected = original.expected_logits(BEFORE, pixels, AFTER)
    places = expected.shape[1] - len(BEFORE) - len(AFTER)
    assert torch.equal(logits(checkpoint, pixels, places), expected)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model_type": "llava"},
        {"model_type": "llava_mistral", "text": {"sliding_window": 9}},
        {"model_type": "llava_qwen", "text": {"tie_word_embeddings": True}},
        {"text": {"rope_theta": 500000.0, "num_key_value_heads": 4, "rms_norm_eps": 1e-3}},
        {"projector": "linear"},
        {"aspect_ratio": "square"},
        {"settings": {"mm_vision_select_feature": "cls_patch"}},
        {"siglip": True},
        {"dtype": torch.bfloat16},
        {"tower": "contained"},
        *({"weights": kind} for kind in ("bin", "sharded", "sharded-bin")),
    ],
    ids=str,
)
def test_logits_are_those_of_the_parts(tmp_path: Path, options: dict[str, Any]) -> None:
    original = save_original(tmp_path / "llava", **options)
    checkpoint = load(original.folder)
    assert_computes_its_parts(checkpoint, original)
    assert checkpoint.model.dtype == original.newline.dtype
    assert checkpoint.image_aspect_ratio == original.config["image_aspect_ratio"]


def test_the_output_vocabulary_stays_that_of_the_checkpoint(tmp_path: Path) -> None:
    original = save_original(tmp_path / "llava")
    checkpoint = load(original.folder)
    words = original.language_model.config.vocab_size
    image = checkpoint.parts.image_token_id
    assert image == words == checkpoint.tokenizer.convert_tokens_to_ids("<image>")
    assert checkpoint.model.lm_head.out_features == words
    assert checkpoint.tokenizer("<image>", add_special_tokens=False).input_ids == [image]


def test_an_unused_row_serves_as_image_token(tmp_path: Path) -> None:
    """Qwen's embedding is longer than its vocabulary."""
    original = save_original(tmp_path / "llava", model_type="llava_qwen", text={"vocab_size": 390})
    checkpoint = load(original.folder)
    assert checkpoint.parts.image_token_id == 380
    assert_computes_its_parts(checkpoint, original)


def photo(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@torch.no_grad()
def processed_logits(checkpoint: LoadedCheckpoint, image: Image.Image) -> torch.Tensor:
    inputs = checkpoint.processor(images=image, text="<image>What is it?", return_tensors="pt")
    return checkpoint.model(**inputs).logits


@pytest.mark.parametrize("size", [(50, 28), (28, 28), (30, 56), (70, 70)])
@pytest.mark.parametrize("model_type", ["llava_llama", "llava_mistral"])
def test_tiles_are_those_of_the_converted_checkpoint(
    tmp_path: Path, size: tuple[int, int], model_type: str
) -> None:
    original = save_original(tmp_path / "llava", aspect_ratio="anyres", model_type=model_type)
    save_native(original, tmp_path / "native")
    ours, native = (load(tmp_path / name, "hub") for name in ("llava", "native"))
    expected = processed_logits(native, photo(*size))
    found = processed_logits(ours, photo(*size))
    # The converted checkpoint has words that the original has not; they are nothing but zeros.
    words = found.shape[-1]
    assert expected.shape[-1] > words
    assert torch.equal(found, expected[..., :words])


def test_a_squared_photo_differs_from_the_converted_checkpoint_in_its_border_only(
    tmp_path: Path,
) -> None:
    original = save_original(tmp_path / "llava")
    save_native(original, tmp_path / "native")
    ours, native = (load(tmp_path / name, "hub") for name in ("llava", "native"))
    square, wide = photo(40, 40), photo(60, 30)
    words = original.language_model.config.vocab_size
    assert torch.equal(
        processed_logits(ours, square), processed_logits(native, square)[..., :words]
    )
    pixels = ours.processor.image_processor(wide, return_tensors="pt").pixel_values
    # Padding has the mean colour: normalised, it is zero but for rounding to a byte.
    assert pixels[0, :, 0].abs().max() < 0.02
    assert pixels[0, :, 14].abs().max() > 0.5


def test_onevision_shares_its_tower_and_newlines(tmp_path: Path) -> None:
    original = save_original(
        tmp_path / "llava", aspect_ratio="anyres_max_9", siglip=True, model_type="llava_qwen"
    )
    checkpoint = load(original.folder)
    assert checkpoint.image_aspect_ratio == "anyres_max_9"
    parts = checkpoint.model.model
    pixels = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        states = parts.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
        features = parts.multi_modal_projector(states)
    assert torch.equal(features, original.features(pixels))
    assert torch.equal(parts.image_newline, original.newline)
    inputs = checkpoint.processor(images=photo(50, 28), text="<image>What?", return_tensors="pt")
    with torch.no_grad():
        assert checkpoint.model(**inputs).logits.isfinite().all()


def test_a_converted_onevision_gives_the_same(tmp_path: Path) -> None:
    original = save_original(
        tmp_path / "llava", aspect_ratio="anyres_max_9", siglip=True, model_type="llava_qwen"
    )
    ours = load(original.folder, "hub")
    native = tmp_path / "native"
    ours.model.save_pretrained(native)
    ours.tokenizer.save_pretrained(native)
    ours.processor.image_processor.save_pretrained(native)
    settings = {"num_image_tokens": PATCHES, "vision_feature_select_strategy": "full"}
    native.joinpath("processor_config.json").write_text(json.dumps(settings))
    # A converted checkpoint has a row for its image token.
    with safe_open(native / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in ("lm_head.weight", "model.language_model.embed_tokens.weight"):
        tensors[name] = torch.nn.functional.pad(tensors[name], (0, 0, 0, 2))
    save_file(tensors, native / "model.safetensors", {"format": "pt"})
    config = json.loads((native / "config.json").read_text())
    config["text_config"]["vocab_size"] += 2
    native.joinpath("config.json").write_text(json.dumps(config))
    converted = load(native, "hub")
    assert converted.image_aspect_ratio == "anyres_max_9"
    found, expected = (processed_logits(one, photo(50, 28)) for one in (ours, converted))
    assert torch.equal(found, expected[..., : found.shape[-1]])


@pytest.mark.parametrize("weights", ["safetensors", "bin"])
def test_a_contained_tower_wins_over_the_named_one(tmp_path: Path, weights: str) -> None:
    original = save_original(tmp_path / "llava", tower="contained", weights=weights)
    other = save_original(tmp_path / "other" / "llava", seed=1)
    args = {"vision_tower": str(other.tower_folder)}
    assert_computes_its_parts(load(original.folder, **args), original)


@pytest.mark.parametrize("place", ["inside", "beside", "absolute", "argument", "owner"])
def test_the_named_tower_is_found(tmp_path: Path, place: str) -> None:
    named = {"owner": "openai/tower", "absolute": str(tmp_path / "far" / "tower")}
    settings = {"mm_vision_tower": named.get(place, "gone" if place == "argument" else "tower")}
    original = save_original(tmp_path / "llava", settings=settings)
    goals = {"inside": original.folder, "absolute": tmp_path / "far", "argument": tmp_path / "far"}
    goal = goals.get(place, tmp_path) / "tower"
    goal.parent.mkdir(exist_ok=True)
    original.tower_folder.rename(goal)
    args = {"vision_tower": str(goal)} if place == "argument" else {}
    assert_computes_its_parts(load(original.folder, **args), original)


def test_a_published_tower_that_is_contained_is_not_looked_for(tmp_path: Path) -> None:
    """Without its folder its shape is known: here it does not fit, and every misfit is its own."""
    settings = {"mm_vision_tower": "openai/clip-vit-large-patch14-336"}
    original = save_original(tmp_path / "llava", tower="contained", settings=settings)
    with pytest.raises(CheckpointError, match=r"model\.vision_tower\.encoder\.layers"):
        load(original.folder)


def test_all_settings_of_the_decoder_carry_over(tmp_path: Path) -> None:
    text = {
        "sliding_window": 9,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-3,
        "max_position_embeddings": 777,
        "hidden_act": "gelu",
        "head_dim": 16,
    }
    original = save_original(tmp_path / "llava", model_type="llava_mistral", text=text)
    checkpoint = load(original.folder)
    config = checkpoint.model.config.text_config
    assert config.model_type == "mistral"
    assert config.rope_parameters["rope_theta"] == text.pop("rope_theta")
    for name, value in text.items():
        assert getattr(config, name) == value, name
    assert_computes_its_parts(checkpoint, original)


@pytest.mark.parametrize("value", ["[(28, 56), (56, 28)]", [[28, 56], [56, 28]]], ids=type)
def test_pinpoints_are_read_as_list_and_as_text(tmp_path: Path, value: object) -> None:
    original = save_original(tmp_path / "llava", aspect_ratio="anyres", pinpoints=value)
    config = load(original.folder, "hub").model.config
    assert config.image_grid_pinpoints == [[28, 56], [56, 28]]


def test_a_range_of_tile_counts_is_every_grid_in_it(tmp_path: Path) -> None:
    original = save_original(tmp_path / "llava", aspect_ratio="anyres", pinpoints="(1x1),...,(2x3)")
    sizes = load(original.folder, "hub").model.config.image_grid_pinpoints
    # Not symmetric, so turned: (height, width), at most 3 tiles high and 2 wide.
    assert {tuple(size) for size in sizes} == {(28 * h, 28 * w) for h in (1, 2, 3) for w in (1, 2)}


def test_grids_are_turned_only_where_that_means_something() -> None:
    assert pinpoints_by_height([[1, 2], [2, 1]]) == [[1, 2], [2, 1]]
    assert pinpoints_by_height([[1, 2], [1, 3]]) == [[2, 1], [3, 1]]


def test_precision_and_attention_are_the_users_choice(tmp_path: Path) -> None:
    original = save_original(tmp_path / "llava", dtype=torch.float16)
    checkpoint = load(original.folder, dtype="float32", attention="eager")
    assert checkpoint.model.dtype == torch.float32
    assert checkpoint.model.config._attn_implementation == "eager"


def test_a_mark_of_row_ends_is_no_part_of_a_model_without_rows(tmp_path: Path) -> None:
    """Some untiled checkpoints hold one all the same."""
    original = save_original(tmp_path / "llava")
    extra = {"model.image_newline": original.newline}
    rotary = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_weights(original.folder, original.tensors() | extra | rotary)
    assert_computes_its_parts(load(original.folder), original)

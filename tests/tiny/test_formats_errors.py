"""What does not fit in a checkpoint of the original format is refused by its name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from original_llava import OriginalLlava, save_original, save_weights
from torch import Tensor

from mmflow_bench.checkpoints.loading import load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError


def load(folder: Path, **args: str) -> object:
    return load_checkpoint(resolve_checkpoint(str(folder), model_args=args))


def change_config(original: OriginalLlava, **changes: Any) -> None:
    content = {k: v for k, v in (original.config | changes).items() if v is not None}
    original.folder.joinpath("config.json").write_text(json.dumps(content))


def change_weights(
    original: OriginalLlava, change: Callable[[dict[str, Tensor]], object], kind: str
) -> None:
    tensors = original.tensors()
    change(tensors)
    save_weights(original.folder, tensors, kind)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end"),
        ({"mm_projector_type": "mlp3x_gelu"}, "mlp3x_gelu"),
        ({"mm_vision_select_feature": "slice4"}, "slice4"),
        ({"mm_resampler_type": "perceiver"}, "perceiver"),
        ({"s2": True}, "s2 = True"),
        ({"image_aspect_ratio": "crop_split"}, "crop_split"),
        ({"image_aspect_ratio": "anyres"}, "'anyres' with 'flat'"),
        ({"mm_patch_merge_type": "spatial_unpad"}, "'pad' with 'spatial_unpad'"),
        (
            {"image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial_unpad"},
            "image_grid_pinpoints .* got None",
        ),
        ({"model_type": "llava_mpt"}, "llava_mpt"),
        ({"mm_vision_tower": None}, "mm_vision_tower"),
        ({"mm_vision_tower": "nowhere/to/be/found"}, "nowhere/to/be/found"),
        ({"vocab_size": 370}, r"embed_tokens\.weight|lm_head"),
        ({"num_hidden_layers": 4}, r"layers\.3\."),
        ({"num_hidden_layers": 2}, r"layers\.2\."),
        ({"hidden_size": 64}, r"lm_head\.weight"),
    ],
    ids=str,
)
def test_a_configuration_that_does_not_fit(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    original = save_original(tmp_path / "llava")
    change_config(original, **changes)
    with pytest.raises(CheckpointError, match=words):
        load(original.folder, conversation="vicuna_v1")


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("model.layers.1.mlp.down_proj.weight"), r"layers\.1\.mlp\.down_proj"),
        (lambda t: t.pop("model.mm_projector.2.bias"), r"linear_2\.bias"),
        (lambda t: t.update({"model.layers.9.x": torch.ones(1)}), r"layers\.9\.x"),
        (lambda t: t.update({"mm_other.x": torch.ones(1)}), r"mm_other\.x"),
        (
            lambda t: t.update({"model.mm_projector.2.bias": torch.ones(3)}),
            r"linear_2\.bias",
        ),
        (lambda t: t.update({"model.vision_resampler.q": torch.ones(1)}), "vision_resampler"),
    ],
    ids=["layer", "projector", "left over layer", "left over part", "shape", "resampler"],
)
def test_weights_that_do_not_fit(
    tmp_path: Path, kind: str, change: Callable[[dict[str, Tensor]], object], words: str
) -> None:
    original = save_original(tmp_path / "llava", weights=kind)
    change_weights(original, change, kind)
    with pytest.raises(CheckpointError, match=words):
        load(original.folder)


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["sharded", "sharded-bin"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda shard, _: shard.unlink(), r"00002-of-00003"),
        (lambda shard, _: cut_in_half(shard), r"00002-of-00003"),
        (lambda shard, _: shard.write_bytes(b""), r"00002-of-00003"),
        (
            lambda _, index: index.write_text(
                index.read_text().replace('"lm_head.weight"', '"lm_head.other"')
            ),
            r"lm_head\.other",
        ),
        (lambda shard, index: (index.unlink(), shard.unlink()), r"00002-of-00003"),
    ],
    ids=["missing", "cut short", "empty", "index", "missing without index"],
)
def test_a_shard_that_is_not_whole(
    tmp_path: Path, kind: str, spoil: Callable[[Path, Path], object], words: str
) -> None:
    original = save_original(tmp_path / "llava", weights=kind)
    (index,) = original.folder.glob("*.index.json")
    (shard,) = original.folder.glob("*00002-of-00003*")
    spoil(shard, index)
    with pytest.raises(CheckpointError, match=words):
        load(original.folder)


class _Code:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("place", ["llava/pytorch_model.bin", "tower/pytorch_model.bin"])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, place: str) -> None:
    save_original(tmp_path / "llava")
    path = tmp_path / place
    next(path.parent.glob("*.safetensors")).unlink()
    torch.save({"weight": _Code(tmp_path / "trace")}, path)
    with pytest.raises(CheckpointError, match="pickled code"):
        load(tmp_path / "llava")
    assert not tmp_path.joinpath("trace").exists()


def test_what_is_no_file_of_tensors_is_refused(tmp_path: Path) -> None:
    original = save_original(tmp_path / "llava", weights="bin")
    torch.save([torch.ones(2)], original.folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="got list"):
        load(original.folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_says_which(tmp_path: Path, name: str) -> None:
    original = save_original(tmp_path / "llava")
    (original.folder / name).unlink()
    with pytest.raises(CheckpointError, match=name.partition(".")[0]):
        load(original.folder)


def test_a_tower_of_another_kind_is_named(tmp_path: Path) -> None:
    original = save_original(tmp_path / "llava")
    (original.tower_folder / "config.json").write_text('{"model_type": "eva_clip"}')
    with pytest.raises(CheckpointError, match="eva_clip"):
        load(original.folder)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"base": "."}, "base"),
        ({"adapter": "no/such/adapter"}, "no/such/adapter"),
        ({"quantization": "int8"}, "bitsandbytes"),
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_met(tmp_path: Path, args: dict[str, str], words: str) -> None:
    original = save_original(tmp_path / "llava")
    if words == "bitsandbytes" and find_spec(words) is not None:
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(CheckpointError, match=words):
        load(original.folder, **args)

"""The shape of a checkpoint of the paper, in configurations of both formats."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.checkpoints.resembling import resembled, shape_of
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec

CONVERTED_13B = {
    "model_type": "llava",
    "text_config": {
        "model_type": "llama", "num_hidden_layers": 40, "hidden_size": 5120, "vocab_size": 32064,
    },
}  # fmt: skip
CONVERTED_7B = {"model_type": "llava", "text_config": {"model_type": "llama", "vocab_size": 32064}}
ORIGINAL_7B = {
    "model_type": "llava_llama", "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 32000,
    "image_aspect_ratio": "pad",
}  # fmt: skip
LLAMA_3 = {
    "model_type": "llava_next",
    "text_config": {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096, "vocab_size": 128320,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (CONVERTED_13B, "llava-1.5-13b"),
        (CONVERTED_7B, "llava-1.5-7b"),
        (ORIGINAL_7B, "llava-1.5-7b"),
        (ORIGINAL_7B | {"image_aspect_ratio": "anyres"}, "llava-v1.6-vicuna-7b"),
        (CONVERTED_13B | {"model_type": "llava_next"}, "llava-v1.6-vicuna-13b"),
        (LLAMA_3, "llama3-llava-next-8b"),
        (LLAMA_3 | {"model_type": "llava_onevision"}, None),
        (ORIGINAL_7B | {"num_hidden_layers": 24}, None),
        (ORIGINAL_7B | {"model_type": "llava_mistral"}, None),
        (CONVERTED_7B | {"text_config": {"model_type": "mpt"}}, None),
        (CONVERTED_13B["text_config"], None),
        ({}, None),
    ],
)
def test_the_shape_of_a_checkpoint(config, name):
    assert shape_of(config, "/runs/my-finetune") == name


def test_a_folder_is_told_by_its_configuration_and_nothing_else_is_looked_at(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONVERTED_7B))
    folder = resolve_checkpoint(str(tmp_path))
    assert resembled(folder) == "llava-1.5-7b"
    # Not a name that the hub would be asked for.
    assert resembled(replace(folder, kind="hub")) is None
    assert resembled(resolve_checkpoint("planted/mini")) is None


def test_a_checkpoint_without_a_record_of_its_own_is_asked_as_another(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONVERTED_7B))
    told = CheckpointSettings(device="cpu", stands_for="llava-1.5-7b")
    assert resolve_spec(str(tmp_path), told).paper_model == "llava-1.5-7b"
    assert resolve_spec(str(tmp_path), CheckpointSettings(device="cpu")).paper_model is None
    # Measured beside it, the paper's own checkpoint stays itself.
    assert resolve_spec("llava-1.5-13b", told).paper_model == "llava-1.5-13b"

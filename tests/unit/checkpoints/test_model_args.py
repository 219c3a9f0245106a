from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.model_args import (
    MODEL_ARGS,
    checked_args,
    identifying,
    memory_limits,
)
from mmflow_bench.errors import CheckpointError


@pytest.mark.parametrize(
    "args",
    [
        {"attention": "eager", "dtype": "float16"},
        {"device_map": "auto", "offload_folder": "/x", "max_memory": "0:20GiB;cpu:1.5GB"},
        {"device_map": "cuda:1"},
        {"quantization": "int4", "conversation": "qwen_1_5"},
        {"adapter": "a", "base": "b", "vision_tower": "c", "revision": "main"},
    ],
    ids=str,
)
def test_what_is_known_passes_as_it_is(args: dict[str, str]) -> None:
    assert checked_args(args) == args


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"atention": "eager"}, "closest is 'attention'"),
        ({"attention": "flash_attention_2"}, "eager, sdpa"),
        ({"quantization": "int3"}, "int4, int8"),
        ({"conversation": "vicuna"}, "closest is 'vicuna_v1'"),
        ({"device_map": "{'': 0}"}, "device_map=auto"),
        ({"device_map": "auto", "max_memory": "20GiB"}, "0:20GiB;cpu:60GiB"),
        ({"max_memory": "0:20GiB"}, "device_map next to max_memory"),
        ({"offload_folder": "/x"}, "device_map next to offload_folder"),
    ],
    ids=str,
)
def test_what_is_not_is_refused(args: dict[str, str], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        checked_args(args)


def test_limits_are_by_device() -> None:
    assert memory_limits("0:20GiB;cpu:60GiB") == {0: "20GiB", "cpu": "60GiB"}


def test_where_a_model_is_and_what_is_hashed_anyway_is_no_identity() -> None:
    args = dict.fromkeys(MODEL_ARGS, "x")
    assert set(identifying(args)) == {
        "attention",
        "conversation",
        "dtype",
        "gguf_file",
        "quantization",
        "revision",
        "template",
    }

from __future__ import annotations

from typing import Any

import pytest

from mmflow_bench.checkpoints.conversations import (
    CONVERSATIONS,
    conversation_of,
    known_conversation,
)
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs import conversations


def test_the_names_are_those_of_the_templates() -> None:
    assert set(CONVERSATIONS) == set(conversations.CONVERSATIONS)


@pytest.mark.parametrize(
    ("config", "name", "expected"),
    [
        ({"model_type": "llava_llama", "vocab_size": 32000}, "my-tune", "vicuna_v1"),
        ({"model_type": "llava_llama", "vocab_size": 32000}, "a/llava-mistral/my", "vicuna_v1"),
        ({"model_type": "llava", "vocab_size": 32003}, "x", "vicuna_v1"),
        ({"model_type": "llava_llama", "vocab_size": 128256}, "vicuna-is-not", "llava_llama_3"),
        ({"model_type": "llava_llama", "vocab_size": 64000}, "x", "chatml_direct"),
        ({"model_type": "llava_mistral", "vocab_size": 32000}, "x", "mistral_instruct"),
        ({"model_type": "llava_llama", "vocab_size": 32000}, "o/llava-mistral", "mistral_instruct"),
        ({"model_type": "llava_qwen", "vocab_size": 152064}, "x", "qwen_1_5"),
        ({"model_type": "llava_llama", "vocab_size": 100352}, "x", None),
        ({"model_type": "llava_mpt", "vocab_size": 50277}, "x", None),
        # Converted: 64 rows more, and Llama is what the text part need not say.
        ({"model_type": "llava", "text_config": {"vocab_size": 32064}}, "x", "vicuna_v1"),
        (
            {"model_type": "llava_next", "text_config": {"vocab_size": 128320}},
            "x",
            "llava_llama_3",
        ),
        ({"model_type": "llava_next", "text_config": {"vocab_size": 64064}}, "x", "chatml_direct"),
        (
            {"model_type": "llava_next", "text_config": {"model_type": "mistral"}},
            "x",
            "mistral_instruct",
        ),
        (
            {"model_type": "llava_onevision", "text_config": {"model_type": "qwen2"}},
            "x",
            "qwen_1_5",
        ),
        ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}}, "x", None),
    ],
    ids=str,
)
def test_what_a_checkpoint_is_says_how_it_was_spoken_to(
    config: dict[str, Any], name: str, expected: str | None
) -> None:
    assert conversation_of(config, name) == expected


def test_what_cannot_be_told_must_be_named() -> None:
    with pytest.raises(CheckpointError, match=r"llava_mpt.*conversation=vicuna_v1"):
        known_conversation({"model_type": "llava_mpt"}, "x")

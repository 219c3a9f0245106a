from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS, DECODERS
from mmflow_bench.checkpoints.families.recognising import known_conversation
from mmflow_bench.errors import CheckpointError

DOCUMENTED = Path(__file__).parents[3] / "docs" / "checkpoints.md"


def test_no_two_decoders_have_a_template_of_one_name() -> None:
    assert len(CONVERSATIONS) == len(DECODERS)
    for decoder in DECODERS:
        assert set(decoder.unless_named.values()) <= set(CONVERSATIONS)


def test_the_documentation_names_every_template() -> None:
    names = ", ".join(f"`{name}`" for name in CONVERSATIONS)
    assert f"| `conversation` | {names} |" in DOCUMENTED.read_text(encoding="utf-8")


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
    ],
    ids=str,
)
def test_what_a_checkpoint_is_says_how_it_was_spoken_to(
    config: dict[str, Any], name: str, expected: str
) -> None:
    assert known_conversation(config, name) == expected


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llava_llama", "vocab_size": 100352},
        {"model_type": "llava_mpt", "vocab_size": 50277},
        {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}},
    ],
    ids=str,
)
def test_other_decoders_are_not_taken_for_one_that_is_known(config: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="conversation template is known"):
        known_conversation(config, "x")


def test_what_cannot_be_told_must_be_named() -> None:
    with pytest.raises(CheckpointError, match=r"llava_mpt.*conversation=vicuna_v1"):
        known_conversation({"model_type": "llava_mpt"}, "x")

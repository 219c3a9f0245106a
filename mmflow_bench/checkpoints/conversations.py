"""Which conversation template a checkpoint was trained with, worked out from what it is.

The original programs look for words in the checkpoint's name, which a renamed fine-tune breaks.
Vocabulary and kind of decoder say the same of every published LLaVA; the name is asked only where
they leave a choice. The templates themselves are in `inputs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmflow_bench.errors import CheckpointError

CONVERSATIONS = ("vicuna_v1", "llava_llama_3", "mistral_instruct", "chatml_direct", "qwen_1_5")
"""Names that `--model-args=conversation=NAME` takes."""

_YI, _LLAMA_3 = 64_000, 128_256
"""Tokens of the vocabularies that Llama-type decoders have beside that of Llama 2."""
_ADDED_TOKENS = 512
_BY_DECODER = {
    "llava_mistral": "mistral_instruct",
    "mistral": "mistral_instruct",
    "llava_qwen": "qwen_1_5",
    "qwen2": "qwen_1_5",
    "qwen3": "qwen_1_5",
}
_LLAMAS = ("llama", "llava", "llava_llama")


def conversation_of(config: Mapping[str, Any], name: str) -> str | None:
    """The template that a checkpoint was trained with, or None where that cannot be told.

    Args:
        config: The content of its `config.json`, native or of the original format.
        name: Its folder or hub id.
    """
    text = config.get("text_config") or config
    # Llama is what a converted configuration leaves out.
    decoder = str(text.get("model_type", "llama"))
    if decoder in _BY_DECODER:
        return _BY_DECODER[decoder]
    if decoder not in _LLAMAS:
        return None
    vocabulary = int(text.get("vocab_size", 32_000))
    if vocabulary < _YI:
        # Llama 2's, possibly with more words, and that of Mistral's first models.
        is_mistral = "mistral" in name.rstrip("/").rpartition("/")[2].lower()
        return "mistral_instruct" if is_mistral else "vicuna_v1"
    if vocabulary < _YI + _ADDED_TOKENS:
        return "chatml_direct"
    is_llama_3 = _LLAMA_3 <= vocabulary < _LLAMA_3 + _ADDED_TOKENS
    return "llava_llama_3" if is_llama_3 else None


def known_conversation(config: Mapping[str, Any], name: str) -> str:
    """The same, for a user who has asked for the paper's input.

    Raises:
        CheckpointError: It cannot be told.
    """
    found = conversation_of(config, name)
    if found is None:
        text = config.get("text_config") or config
        raise CheckpointError(
            f"a checkpoint whose conversation template is known, got {name!r} with a decoder of "
            f"type {text.get('model_type', 'unknown')!r} and {text.get('vocab_size', 'unknown')} "
            f"tokens (--input=paper); name it: --model-args=conversation={'|'.join(CONVERSATIONS)},"
            " or leave out --input=paper"
        )
    return found

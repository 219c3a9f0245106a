"""The language models of LLaVA checkpoints: how each is recognised, and how it was spoken to.

One question is one user message, so a conversation template comes down to what stands before and
after it. The strings follow the templates of the LLaVA and LLaVA-NeXT repositories
(`llava/conversation.py`) to the character. Nothing here imports torch: templates are named, and
count in the key of the store, before a checkpoint is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What stands around the message of the user, and how its text becomes tokens."""

    before: str
    after: str
    begins: bool = False
    """A start token comes first whatever the tokenizer's settings, and even where `before` writes
    one: the published Llama-3 sequence starts with two. Otherwise the tokenizer decides."""
    spaces: bool = False
    """SentencePiece puts a space before every text, so also before the text after the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """One kind of language model that LLaVAs are built on."""

    conversation: str
    """Name of its template, as `--model-args=conversation=NAME` takes it."""
    template: Conversation
    native: str
    """Its model type in transformers."""
    original_types: tuple[str, ...] = ()
    """Model types of whole checkpoints in the original format."""
    other_types: tuple[str, ...] = ()
    """Further model types in transformers that are spoken to alike."""
    vocabulary: range = field(default=range(sys.maxsize))
    """Sizes of the vocabulary that tell it from other decoders of its type."""
    unless_named: Mapping[str, str] = field(default_factory=dict)
    """Word in the name of a checkpoint -> the conversation that it then has."""

    @property
    def model_types(self) -> tuple[str, ...]:
        return (self.native, *self.other_types, *self.original_types)


_ASSISTANT = "artificial intelligence assistant"
_VICUNA_SYSTEM = (
    f"A chat between a curious user and an {_ASSISTANT}. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)
_LLAMA_3_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language."
)
PUBLISHED_END = " \n"
"""What the published program adds to prompts for Llama 3 alone."""
# Llama-type decoders are told apart by their vocabularies, to which a few tokens may be added.
_YI, _LLAMA_3, _ADDED = 64_000, 128_256, 512

DECODERS = (
    Decoder(
        conversation="vicuna_v1",
        template=Conversation(
            before=f"{_VICUNA_SYSTEM} USER: ", after=" ASSISTANT:", begins=True, spaces=True
        ),
        native="llama",
        original_types=("llava", "llava_llama"),
        vocabulary=range(_YI),
        # Mistral's first models have as many words, and some call themselves Llama.
        unless_named={"mistral": "mistral_instruct"},
    ),
    Decoder(
        conversation="llava_llama_3",
        template=Conversation(
            before=(
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
                f"{_LLAMA_3_SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
            ),
            after=f"<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{PUBLISHED_END}",
            begins=True,
        ),
        native="llama",
        original_types=("llava", "llava_llama"),
        vocabulary=range(_LLAMA_3, _LLAMA_3 + _ADDED),
    ),
    Decoder(
        conversation="mistral_instruct",
        template=Conversation(before="[INST] ", after=" [/INST]", begins=True, spaces=True),
        native="mistral",
        original_types=("llava_mistral",),
    ),
    Decoder(
        conversation="chatml_direct",
        template=Conversation(
            before="<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n",
            after="<|im_end|><|im_start|>assistant\n",
        ),
        native="llama",
        original_types=("llava", "llava_llama"),
        vocabulary=range(_YI, _YI + _ADDED),
    ),
    Decoder(
        conversation="qwen_1_5",
        template=Conversation(
            before="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
            after="<|im_end|>\n<|im_start|>assistant\n",
        ),
        native="qwen2",
        other_types=("qwen3",),
        original_types=("llava_qwen",),
    ),
)

CONVERSATIONS: Mapping[str, Conversation] = {
    decoder.conversation: decoder.template for decoder in DECODERS
}
"""The templates of the decoders that ship with the package."""

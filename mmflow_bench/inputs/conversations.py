r"""The words around a question in the paper's input: LLaVA's conversation templates.

One question is one user message, so a template comes down to what stands before and after it. The
strings follow the templates of the LLaVA and LLaVA-NeXT repositories (`llava/conversation.py`) to
the character. Part of what a measurement depends on, so part of its identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches

from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.forms import FORMS

IMAGE_PLACEHOLDER = "<image>"
PAPER_INSTRUCTION = " \nAnswer the question using a single word or phrase."
"""Follows every question; the published program puts a space before the newline."""


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

CONVERSATIONS: Mapping[str, Conversation] = {
    "vicuna_v1": Conversation(
        before=f"{_VICUNA_SYSTEM} USER: ", after=" ASSISTANT:", begins=True, spaces=True
    ),
    "llava_llama_3": Conversation(
        before=(
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
            f"{_LLAMA_3_SYSTEM}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        ),
        # The published program adds a space and a newline to the prompts of this template alone.
        after="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n",
        begins=True,
    ),
    "mistral_instruct": Conversation(before="[INST] ", after=" [/INST]", begins=True, spaces=True),
    "chatml_direct": Conversation(
        before="<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n",
        after="<|im_end|><|im_start|>assistant\n",
    ),
    "qwen_1_5": Conversation(
        before="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        after="<|im_end|>\n<|im_start|>assistant\n",
    ),
}


def conversation(name: str) -> Conversation:
    """The template of that name.

    Raises:
        CheckpointError: There is none.
    """
    if name in CONVERSATIONS:
        return CONVERSATIONS[name]
    closest = get_close_matches(name, CONVERSATIONS, n=1)
    raise CheckpointError(
        f"a conversation template among {', '.join(CONVERSATIONS)}, got {name!r}"
        f"{f', closest is {closest[0]!r}' if closest else ''}; correct the checkpoint's entry, or "
        "use --input=hub"
    )


def prompt_identity(input_choice: str) -> dict[str, object]:
    """Every word that may stand around a question, for the key of the store.

    Args:
        input_choice: `paper` or `hub`.
    """
    if input_choice != "paper":
        return dict(FORMS)
    templates = {name: asdict(template) for name, template in CONVERSATIONS.items()}
    return {**FORMS, "instruction": PAPER_INSTRUCTION, "conversations": templates}

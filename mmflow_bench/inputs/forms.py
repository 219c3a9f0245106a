"""The words around a question: part of what a measurement depends on, so part of its identity."""

from __future__ import annotations

from dataclasses import asdict

from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS
from mmflow_bench.checkpoints.families.recognising import conversation

INSTRUCTION = "\nAnswer the question using a single word or phrase."
"""Follows every question (paper, Sec. 4)."""

PAPER_INSTRUCTION = " \nAnswer the question using a single word or phrase."
"""The same in the paper's input: the published program puts a space before the newline."""
IMAGE_PLACEHOLDER = "<image>"
"""Where the image goes in the paper's input."""

LLAVA_FORM = "USER: {image}{text} ASSISTANT:"
"""For checkpoints that take images and bring no chat template: the form of LLaVA-1.5."""

CAPTION_LINE = "{caption}\n"
"""Before the question in a message of a user: captions in the image's place."""

CAPTION_FORM = "Captions: {caption}\n\n"
QUESTION_FORM = "Question: {question}"
ANSWER_FORM = "\nAnswer:"
"""For language models without a chat template: the form that they continue with an answer."""

FORMS = {
    "instruction": INSTRUCTION,
    "llava": LLAVA_FORM,
    "caption_line": CAPTION_LINE,
    "caption": CAPTION_FORM,
    "question": QUESTION_FORM,
    "answer": ANSWER_FORM,
}


def prompt_identity(input_choice: str, conversation_name: str | None = None) -> dict[str, object]:
    """Every word that may stand around a question, for the key of the store.

    Args:
        input_choice: `paper` or `hub`.
        conversation_name: The template of the paper's input, where it is not one that ships.
    """
    if input_choice != "paper":
        return dict(FORMS)
    # All that ship, as the stores of earlier versions have it; of others the one that is used, or
    # installing a package would hide what was measured without it.
    known = dict(CONVERSATIONS)
    if conversation_name is not None and conversation_name not in known:
        known[conversation_name] = conversation(conversation_name)
    templates = {name: asdict(template) for name, template in known.items()}
    return {**FORMS, "instruction": PAPER_INSTRUCTION, "conversations": templates}

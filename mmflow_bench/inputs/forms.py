"""The words around a question: part of what a measurement depends on, so part of its identity."""

from __future__ import annotations

INSTRUCTION = "\nAnswer the question using a single word or phrase."
"""Follows every question (paper, Sec. 4; the published program puts a space before the newline)."""

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

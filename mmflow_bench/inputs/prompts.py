"""The prompt of a sample: rendered by the checkpoint's chat template, spans of its parts known.

A prompt carries the question followed by `INSTRUCTION`, after the image or after the captions that
stand in for it (paper, App. G). Spans are taken from where the text was put, never searched for in
decoded tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError, QuestionError
from mmflow_bench.inputs.forms import (
    ANSWER_FORM,
    CAPTION_FORM,
    CAPTION_LINE,
    INSTRUCTION,
    LLAVA_FORM,
    QUESTION_FORM,
)
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A rendered prompt; spans are characters of `text`."""

    text: str
    """With one image placeholder, not yet expanded, if there is an image."""
    question: Span
    caption: Span | None
    placeholder: Span | None


def render_prompt(sample: Sample, checkpoint: LoadedCheckpoint, *, has_image: bool) -> Prompt:
    r"""The prompt of a sample.

    Without a chat template: `USER: <image>\n{question}{INSTRUCTION} ASSISTANT:`, the form of
    LLaVA-1.5, for a checkpoint that takes images; for a plain language model the form that it
    continues with an answer, `Captions: {caption}\n\nQuestion: {question}{INSTRUCTION}\nAnswer:`.

    Raises:
        QuestionError: The question is empty, or it or the captions contain the image token.
        CheckpointError: The template does not render the text once and unchanged.
    """
    token = _image_token(checkpoint)
    question, caption = usable_texts(sample, token, has_image=has_image)
    placeholder = token if has_image else None
    is_continued = checkpoint.chat_template is None and not checkpoint.parts.has_image
    caption_form = CAPTION_FORM if is_continued else CAPTION_LINE
    question_form = QUESTION_FORM if is_continued else "{question}"
    before = caption_form.format(caption=caption) if caption else ""
    said = before + question_form.format(question=question + INSTRUCTION)
    rendered = _rendered(checkpoint, said, placeholder)
    start = rendered.index(said)
    asked = start + len(before) + question_form.index("{")
    described = start + caption_form.index("{")
    image_start = rendered.index(placeholder) if placeholder else 0
    return Prompt(
        text=rendered,
        question=(asked, asked + len(question)),
        caption=(described, described + len(caption)) if caption else None,
        placeholder=(image_start, image_start + len(placeholder)) if placeholder else None,
    )


def _rendered(checkpoint: LoadedCheckpoint, text: str, placeholder: str | None) -> str:
    if checkpoint.chat_template is not None:
        return _from_template(checkpoint, text, placeholder)
    if checkpoint.parts.has_image:
        return LLAVA_FORM.format(image=f"{placeholder}\n" if placeholder else "", text=text)
    return text + ANSWER_FORM


def _from_template(checkpoint: LoadedCheckpoint, text: str, placeholder: str | None) -> str:
    """The template's rendering of one user message.

    Templates of multimodal checkpoints want content in parts, those of language models a string;
    the rendering that carries text and image once each is the right one.
    """
    parts: list[dict[str, str]] = [{"type": "text", "text": text}]
    whole = text
    if placeholder is not None:
        parts.insert(0, {"type": "image"})
        whole = f"{placeholder}\n{text}"
    # The likelier form first: what the other makes of it may render, and be wrong.
    contents: list[object] = [parts, whole] if checkpoint.parts.has_image else [whole, parts]
    problem = "none"
    for content in contents:
        try:
            rendered = checkpoint.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                chat_template=checkpoint.chat_template,
                add_generation_prompt=True,
                tokenize=False,
            )
        # A template is a program of its own, whose errors are anybody's.
        except Exception as error:
            problem = f"{type(error).__name__}: {str(error)[:200]}"
            continue
        images = rendered.count(placeholder) if placeholder else 1
        if rendered.count(text) == 1 and images == 1:
            return str(rendered)
        problem = repr(rendered[:200])
    raise CheckpointError(
        f"a chat template that renders the text and image of a user message once and unchanged, "
        f"got {problem} (checkpoint {checkpoint.spec.name}); give another one with "
        "--model-args=template=FILE, or template=plain"
    )


def _image_token(checkpoint: LoadedCheckpoint) -> str | None:
    if not checkpoint.parts.has_image:
        return None
    token = getattr(checkpoint.processor, "image_token", None)
    if not isinstance(token, str):
        raise CheckpointError(
            f"a processor that names its image token, got {type(checkpoint.processor).__name__} "
            f"without one (checkpoint {checkpoint.spec.name}); save a processor with `image_token`"
        )
    return token


def usable_texts(
    sample: Sample, image_token: str | None, *, has_image: bool
) -> tuple[str, str | None]:
    """The question, and the captions that stand in for the image.

    Raises:
        QuestionError: The question is empty, or one of them holds the image token.
    """
    question = sample.question.strip()
    caption = None if has_image else (sample.caption or "").strip() or None
    if not question:
        raise QuestionError(
            f"a question, got an empty one (sample {sample.question_id}); correct the row",
            reason="empty-question",
        )
    if image_token is not None and image_token in question + (caption or ""):
        raise special_token(sample, image_token)
    return question, caption


def special_token(sample: Sample, token: str) -> QuestionError:
    """The error for text that the tokenizer would read as a control token."""
    return QuestionError(
        f"a question and captions without control tokens, got {token!r} in them (sample "
        f"{sample.question_id}); remove it",
        reason="special-token-in-text",
    )

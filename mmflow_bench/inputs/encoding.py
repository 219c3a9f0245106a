"""From a sample to what the model takes, with the characters that every position covers.

Positions are found later through these offsets. They refer to the prompt with the image placeholder
expanded. Two programs prepare samples: the checkpoint's own processor, and the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.context import longest_sequence
from mmflow_bench.checkpoints.families.known import image_layout
from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage
from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.fields import boxes_inside
from mmflow_bench.inputs.hub_input import hub_input
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.painting import painted_patches
from mmflow_bench.inputs.paper_input import paper_input
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.prompts import special_token
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.inputs.tokenized import TokenizedPrompt, refuse_misfit


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSample:
    """One sample as the model takes it; every span is in characters of `text`."""

    sample: Sample
    text: str
    """The prompt with the image placeholder expanded."""
    input_ids: Int[Tensor, "position"]
    offsets: tuple[Span, ...]
    """The characters that each position covers; empty spans for tokens that stand for none."""
    question_span: Span
    caption_span: Span | None
    model_inputs: dict[str, Tensor]
    """Pixels and the like, with a batch axis of 1; empty without an image."""
    layout: ImageLayout | None
    """None without an image, and where it is not known what the image positions show."""
    boxes: tuple[Box, ...]
    """The sample's boxes in pixels of the image that went in."""
    prompt: str
    """As rendered, the image placeholder not expanded."""
    painted: tuple[int, ...] | None = None
    """Related patches by the published rule, counted from the first image position; None where
    overlap decides."""


def encode(
    sample: Sample, checkpoint: LoadedCheckpoint, *, image: Image.Image | None = None
) -> EncodedSample:
    """The sample as the checkpoint's own processor prepares it, or as the paper's program does.

    Captions stand where the image would when the checkpoint takes no images, or when the sample has
    captions and no image (paper, App. G). A given image replaces the sample's, as a counterfactual;
    boxes are then left out.

    Raises:
        ImageError: The image is missing, unreadable or refused by the processor.
        QuestionError: The sequence is too long, the text holds control tokens, captions are missing
            where they stand in for the image, or a box stands out of the image.
        CheckpointError: Template, tokenizer or processor do not let positions be found, or do not
            fit the model.
    """
    is_replaced = image is not None
    if image is None and _takes_image(sample, checkpoint):
        image = open_image(sample)
    prepared = hub_input if checkpoint.conversation is None else paper_input
    with foreign(
        "a tokenizer, chat template and processor that prepare a sample",
        f"checkpoint {checkpoint.spec.name}, sample {sample.question_id}",
        "check that their files are those of the checkpoint, or give another template with "
        "--model-args=template=FILE",
    ):
        tokens = prepared(sample, checkpoint, image)
        _refuse_too_long(sample, checkpoint, tokens)
        refuse_misfit(checkpoint, tokens)
        _refuse_control_tokens(sample, checkpoint, tokens)
        layout = _layout(checkpoint, tokens, image) if image is not None else None
    # Another photo does not show the objects where they were.
    boxes = () if image is None or is_replaced else _boxes(sample, image)
    painted = None
    if checkpoint.spec.patches == "painted" and image is not None and layout is not None:
        painted = painted_patches(
            image, boxes, image_processor=tokens.image_processor, layout=layout
        )
    return EncodedSample(
        sample=sample,
        text=tokens.text,
        input_ids=torch.tensor(tokens.ids, dtype=torch.long),
        offsets=tuple(tokens.offsets),
        question_span=tokens.question,
        caption_span=tokens.caption,
        model_inputs={
            name: value.to(checkpoint.model.dtype) if value.is_floating_point() else value
            for name, value in tokens.model_inputs.items()
        },
        layout=layout,
        boxes=boxes,
        prompt=tokens.prompt,
        painted=painted,
    )


def _takes_image(sample: Sample, checkpoint: LoadedCheckpoint) -> bool:
    """Whether the sample's image goes in; a sample about an image needs it or its captions."""
    if checkpoint.parts.has_image:
        return sample.image is not None or (sample.caption is None and bool(sample.boxes))
    if sample.caption is None and (sample.image is not None or sample.boxes):
        raise QuestionError(
            f"captions that stand in for the image, got none (sample {sample.question_id}; "
            f"checkpoint {checkpoint.spec.name} takes no images); add a caption, or use a "
            "checkpoint with a vision tower",
            reason="missing-caption",
        )
    return False


def _refuse_too_long(sample: Sample, checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt) -> None:
    """Refuse positions beyond those that the checkpoint was trained for: it only guesses there."""
    most = longest_sequence(checkpoint.model.config)
    if most is not None and len(tokens.ids) > most:
        raise QuestionError(
            f"a sequence of at most {most} positions, which checkpoint {checkpoint.spec.name} was "
            f"made for, got {len(tokens.ids)} (sample {sample.question_id}); shorten the text, or "
            "correct max_position_embeddings if its configuration is wrong",
            reason="sequence-too-long",
        )


def _refuse_control_tokens(
    sample: Sample, checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt
) -> None:
    spans = [tokens.question, *([tokens.caption] if tokens.caption else [])]
    # A word that the vocabulary lacks is no control token.
    control = set(checkpoint.tokenizer.all_special_ids) - {checkpoint.tokenizer.unk_token_id}
    for token_id, (start, end) in zip(tokens.ids, tokens.offsets, strict=True):
        if token_id in control and any(start < last and end > first for first, last in spans):
            raise special_token(sample, tokens.text[start:end])


def _layout(
    checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt, image: Image.Image
) -> ImageLayout | None:
    image_token = checkpoint.parts.image_token_id
    return image_layout(
        ProcessedImage(
            width=image.width,
            height=image.height,
            image_processor=tokens.image_processor,
            config=checkpoint.model.config,
            model_inputs=tokens.model_inputs,
            image_tokens=sum(token == image_token for token in tokens.ids),
        )
    )


def _boxes(sample: Sample, image: Image.Image) -> tuple[Box, ...]:
    """Boxes in pixels of the image, which may be a resized copy of the one they were drawn on."""
    width = sample.image_width or image.width
    height = sample.image_height or image.height
    across, down = image.width / width, image.height / height
    return tuple(
        Box(x=box.x * across, y=box.y * down, width=box.width * across, height=box.height * down)
        for box in boxes_inside(sample, width, height)
    )

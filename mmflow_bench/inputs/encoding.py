"""From a sample to what the model takes, with the characters that every position covers.

Positions are found later through these offsets. They refer to the prompt with the image placeholder
expanded; that text is rebuilt here and tokenized again, so that offsets, ids and text are proved
to belong together before anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError, ImageError, QuestionError
from mmflow_bench.inputs.fields import boxes_inside
from mmflow_bench.inputs.geometry import ImageGeometry, image_geometry
from mmflow_bench.inputs.images import open_image
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.prompts import Prompt, render_prompt, special_token
from mmflow_bench.inputs.samples import Box, Sample

_NOT_MODEL_INPUTS = {"input_ids", "attention_mask", "offset_mapping", "text_replacement_offsets"}


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
    geometry: ImageGeometry | None
    """None without an image, and where image positions are not one grid of patches."""
    boxes: tuple[Box, ...]
    """The sample's boxes in pixels of the image that went in."""
    prompt: str
    """As rendered, the image placeholder not expanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """A tokenized prompt."""

    text: str
    ids: list[int]
    offsets: list[Span]
    shift: int
    """Characters that expanding the placeholder has added after it."""
    model_inputs: dict[str, Tensor]


def encode(
    sample: Sample, checkpoint: LoadedCheckpoint, *, image: Image.Image | None = None
) -> EncodedSample:
    """The sample as the checkpoint's own processor prepares it.

    Captions stand where the image would when the checkpoint takes no images, or when the sample has
    captions and no image (paper, App. G).

    Args:
        sample: The sample.
        checkpoint: Its processor and template are used.
        image: Replaces the sample's image, as a counterfactual; boxes are then left out.

    Raises:
        ImageError: The image is missing, unreadable or refused by the processor.
        QuestionError: The text holds control tokens, captions are missing where they stand in for
            the image, or a box stands out of the image.
        CheckpointError: Template, tokenizer or processor do not let positions be found.
    """
    is_replaced = image is not None
    if image is None and _takes_image(sample, checkpoint):
        image = open_image(sample)
    prompt = render_prompt(sample, checkpoint, has_image=image is not None)
    tokens = _tokenized(sample, checkpoint, prompt, image)
    question, caption = _shifted(prompt.question, prompt, tokens), prompt.caption
    _refuse_control_tokens(sample, checkpoint, tokens, [question, *([caption] if caption else [])])
    return EncodedSample(
        sample=sample,
        text=tokens.text,
        input_ids=torch.tensor(tokens.ids, dtype=torch.long),
        offsets=tuple(tokens.offsets),
        question_span=question,
        caption_span=caption,
        model_inputs=tokens.model_inputs,
        geometry=_geometry(checkpoint, tokens, image) if image is not None else None,
        boxes=() if image is None or is_replaced else _boxes(sample, image),
        prompt=prompt.text,
    )


def _takes_image(sample: Sample, checkpoint: LoadedCheckpoint) -> bool:
    """Whether the sample's image goes in; a sample about an image needs it or its captions."""
    if checkpoint.family.has_image:
        return sample.image is not None or (sample.caption is None and bool(sample.boxes))
    if sample.caption is None and (sample.image is not None or sample.boxes):
        raise QuestionError(
            f"captions that stand in for the image, got none (sample {sample.question_id}; "
            f"checkpoint {checkpoint.spec.name} takes no images); add a caption, or use a "
            "checkpoint with a vision tower",
            reason="missing-caption",
        )
    return False


def _tokenized(
    sample: Sample, checkpoint: LoadedCheckpoint, prompt: Prompt, image: Image.Image | None
) -> _Tokens:
    tokenizer = checkpoint.tokenizer
    # Llama-3 templates write the start token themselves; the tokenizer must not add another.
    bos = tokenizer.bos_token
    adds_special = not (bos is not None and prompt.text.startswith(bos))
    if image is None:
        text, model_inputs, shift = prompt.text, {}, 0
        ids, offsets = _ids_and_offsets(tokenizer, text, adds_special)
    else:
        output = _processed(sample, checkpoint, prompt, image, adds_special)
        text, shift = _expanded(output, checkpoint, prompt)
        ids, offsets = _ids_and_offsets(tokenizer, text, adds_special)
        if ids != output["input_ids"][0].tolist():
            raise CheckpointError(
                "a processor whose tokens are those of its expanded text, got others "
                f"({type(checkpoint.processor).__name__}, checkpoint {checkpoint.spec.name}); "
                "positions could not be trusted, so this processor is not supported"
            )
        model_inputs = _model_inputs(output, checkpoint)
    if offsets[-1][0] == offsets[-1][1]:
        raise CheckpointError(
            "a prompt that ends in its own text, got a token after it "
            f"({tokenizer.convert_ids_to_tokens(ids[-1])!r}, checkpoint {checkpoint.spec.name}); "
            "switch off `add_eos_token` in the tokenizer"
        )
    return _Tokens(text=text, ids=ids, offsets=offsets, shift=shift, model_inputs=model_inputs)


def _ids_and_offsets(tokenizer: Any, text: str, adds_special: bool) -> tuple[list[int], list[Span]]:
    out = tokenizer(text, add_special_tokens=adds_special, return_offsets_mapping=True)
    return list(out["input_ids"]), [(int(start), int(end)) for start, end in out["offset_mapping"]]


def _processed(
    sample: Sample,
    checkpoint: LoadedCheckpoint,
    prompt: Prompt,
    image: Image.Image,
    adds_special: bool,
) -> Any:
    options: dict[str, Any] = {"add_special_tokens": adds_special, "return_tensors": "pt"}
    if hasattr(checkpoint.processor, "get_text_with_replacements"):
        options["return_text_replacement_offsets"] = True
    try:
        return checkpoint.processor(images=image, text=[prompt.text], **options)
    except ValueError as error:
        raise ImageError(
            f"an image that the checkpoint's processor accepts, got {error} (sample "
            f"{sample.question_id}, image {sample.image_id}, {image.width} x {image.height}); "
            "check the image",
            reason="unprocessable-image",
        ) from error


def _expanded(output: Any, checkpoint: LoadedCheckpoint, prompt: Prompt) -> tuple[str, int]:
    """The text after image expansion, and how many characters it is longer."""
    assert prompt.placeholder is not None
    start, end = prompt.placeholder
    replacements = output.get("text_replacement_offsets")
    if replacements:
        replacement = str(replacements[0][0]["replacement"])
    else:
        count = int((output["input_ids"] == checkpoint.family.image_token_id).sum())
        replacement = prompt.text[start:end] * count
    return prompt.text[:start] + replacement + prompt.text[end:], len(replacement) - (end - start)


def _model_inputs(output: Mapping[str, Any], checkpoint: LoadedCheckpoint) -> dict[str, Tensor]:
    dtype = checkpoint.model.dtype
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in output.items()
        if name not in _NOT_MODEL_INPUTS and isinstance(value, Tensor)
    }


def _shifted(span: Span, prompt: Prompt, tokens: _Tokens) -> Span:
    if prompt.placeholder is None or span[0] < prompt.placeholder[1]:
        return span
    return span[0] + tokens.shift, span[1] + tokens.shift


def _refuse_control_tokens(
    sample: Sample, checkpoint: LoadedCheckpoint, tokens: _Tokens, spans: Sequence[Span]
) -> None:
    control = set(checkpoint.tokenizer.all_special_ids) - {checkpoint.tokenizer.unk_token_id}
    for token_id, (start, end) in zip(tokens.ids, tokens.offsets, strict=True):
        if token_id in control and any(start < last and end > first for first, last in spans):
            raise special_token(sample, tokens.text[start:end])


def _geometry(
    checkpoint: LoadedCheckpoint, tokens: _Tokens, image: Image.Image
) -> ImageGeometry | None:
    image_token = checkpoint.family.image_token_id
    return image_geometry(
        checkpoint.processor.image_processor,
        width=image.width,
        height=image.height,
        model_inputs=tokens.model_inputs,
        vision_config=checkpoint.model.config.vision_config,
        image_tokens=sum(token == image_token for token in tokens.ids),
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

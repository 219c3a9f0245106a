"""A sample as the checkpoint's own processor and chat template prepare it.

The processor expands the image placeholder; the text after that is rebuilt here and tokenized
again, so that offsets, ids and text are proved to belong together before anything is measured.
"""

from __future__ import annotations

from dataclasses import replace

from PIL import Image
from torch import Tensor
from transformers import BatchFeature, PreTrainedTokenizerBase

from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError, ImageError
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.prompts import Prompt, render_prompt
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.inputs.tokenized import TokenizedPrompt

_NOT_MODEL_INPUTS = {
    "attention_mask",
    "input_ids",
    "labels",
    "offset_mapping",
    "text_replacement_offsets",
}


def hub_input(
    sample: Sample, checkpoint: LoadedCheckpoint, image: Image.Image | None
) -> TokenizedPrompt:
    """The sample's prompt and pixels by the checkpoint's own processor; see `encode` for errors."""
    prompt = render_prompt(sample, checkpoint, has_image=image is not None)
    tokenizer = checkpoint.tokenizer
    # Llama-3 templates write the start token themselves; the tokenizer must not add another.
    bos = tokenizer.bos_token
    adds_special = not (bos is not None and prompt.text.startswith(bos))
    text, model_inputs = prompt.text, {}
    if image is not None:
        output = _processed(sample, checkpoint, prompt, image, adds_special)
        prompt = _completed(prompt, checkpoint.processor, image)
        text = _expanded(output, checkpoint, prompt)
        model_inputs = {
            name: value
            for name, value in output.items()
            if name not in _NOT_MODEL_INPUTS and isinstance(value, Tensor)
        }
    ids, offsets = _ids_and_offsets(tokenizer, text, adds_special)
    if image is not None and ids != output["input_ids"][0].tolist():
        raise CheckpointError(
            "a processor whose tokens are those of its expanded text, got others "
            f"({type(checkpoint.processor).__name__}, checkpoint {checkpoint.spec.name}); "
            "positions could not be trusted, so this processor is not supported"
        )
    _refuse_end_token(checkpoint, ids, offsets)
    return TokenizedPrompt(
        prompt=prompt.text,
        text=text,
        ids=ids,
        offsets=offsets,
        question=_shifted(prompt.question, prompt, len(text) - len(prompt.text)),
        caption=prompt.caption,
        model_inputs=model_inputs,
        image_processor=checkpoint.processor.image_processor if image is not None else None,
    )


def _ids_and_offsets(
    tokenizer: PreTrainedTokenizerBase, text: str, adds_special: bool
) -> tuple[list[int], list[Span]]:
    out = tokenizer(text, add_special_tokens=adds_special, return_offsets_mapping=True)
    return list(out["input_ids"]), [(int(start), int(end)) for start, end in out["offset_mapping"]]


def _processed(
    sample: Sample,
    checkpoint: LoadedCheckpoint,
    prompt: Prompt,
    image: Image.Image,
    adds_special: bool,
) -> BatchFeature:
    options: Json = {"add_special_tokens": adds_special, "return_tensors": "pt"}
    # Tiles may come with row and column marks: such processors say what they wrote.
    if hasattr(checkpoint.processor, "get_text_with_replacements"):
        options["return_text_replacement_offsets"] = True
    try:
        output: BatchFeature = checkpoint.processor(images=image, text=[prompt.text], **options)
    except ValueError as error:
        raise ImageError(
            f"an image that the checkpoint's processor accepts, got {error} (sample "
            f"{sample.question_id}, image {sample.image_id}, {image.width} x {image.height}); "
            "check the image",
            reason="unprocessable-image",
        ) from error
    return output


def _completed(prompt: Prompt, processor: Processor, image: Image.Image) -> Prompt:
    """The prompt with what the processor itself writes behind the image and at the end.

    PaliGemma's start token and line feed are no part of any template.
    """
    prepare = getattr(processor, "prepare_inputs_layout", None)
    assert prompt.placeholder is not None
    head, tail = prompt.text[: prompt.placeholder[1]], prompt.text[prompt.placeholder[1] :]
    text = prompt.text if prepare is None else prepare(images=image, text=[prompt.text])[1][0]
    if text == prompt.text or not text.startswith(head) or text.count(tail) != 1:
        return prompt
    added = text.index(tail) - len(head)
    return replace(prompt, text=text, question=_shifted(prompt.question, prompt, added))


def _expanded(output: BatchFeature, checkpoint: LoadedCheckpoint, prompt: Prompt) -> str:
    assert prompt.placeholder is not None
    start, end = prompt.placeholder
    replacements = output.get("text_replacement_offsets")
    if replacements:
        replacement = str(replacements[0][0]["replacement"])
    else:
        count = int((output["input_ids"] == checkpoint.parts.image_token_id).sum())
        replacement = prompt.text[start:end] * count
    return prompt.text[:start] + replacement + prompt.text[end:]


def _refuse_end_token(checkpoint: LoadedCheckpoint, ids: list[int], offsets: list[Span]) -> None:
    if offsets[-1][0] == offsets[-1][1]:
        raise CheckpointError(
            "a prompt that ends in its own text, got a token after it "
            f"({checkpoint.tokenizer.convert_ids_to_tokens(ids[-1])!r}, checkpoint "
            f"{checkpoint.spec.name}); switch off `add_eos_token` in the tokenizer"
        )


def _shifted(span: Span, prompt: Prompt, by: int) -> Span:
    """The span after `by` characters were added at the placeholder."""
    if prompt.placeholder is None or span[0] < prompt.placeholder[1]:
        return span
    return span[0] + by, span[1] + by

"""A sample as the paper's program prepares it: LLaVA's templates, token ids and pixels.

What differs from the checkpoints' own processors moves probabilities by tens of per cent, so it is
followed to the token: the conversation with its system prompt, the text before and after the image
tokenized each on its own, a start token where the published sequence has one.

And to the bit: transformers' PIL processors, set as here, give the numbers of LLaVA's
`process_images`. Its torch processors do not, and the settings that checkpoints are published with
neither pad nor choose among tied image grids as the original does.
"""

from __future__ import annotations

from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig, PreTrainedTokenizerBase
from transformers.image_utils import PILImageResampling
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.checkpoints.families.decoders import Conversation
from mmflow_bench.checkpoints.families.llava_next import tiled_tokens
from mmflow_bench.checkpoints.families.recognising import conversation
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.forms import CAPTION_LINE, IMAGE_PLACEHOLDER, PAPER_INSTRUCTION
from mmflow_bench.inputs.phrases import Span
from mmflow_bench.inputs.prompts import usable_texts
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.inputs.tokenized import TokenizedPrompt

_SPACE = "▁"
"""How SentencePiece writes a space."""

_SETTINGS = (
    "size",
    "crop_size",
    "do_center_crop",
    "do_resize",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)
"""Taken over from the checkpoint's processor: they are those of its vision tower."""

Pieces = tuple[list[int], list[Span]]


def paper_input(
    sample: Sample, checkpoint: LoadedCheckpoint, image: Image.Image | None
) -> TokenizedPrompt:
    """The sample's prompt and pixels as the paper's program makes them.

    Captions of a sample without an image stand before the question, on lines of their own.

    Raises:
        QuestionError: The question is empty or holds the image placeholder.
        CheckpointError: There is no such template, or the model cannot take the pixels.
    """
    assert checkpoint.conversation is not None
    template = conversation(checkpoint.conversation)
    question, caption = usable_texts(sample, IMAGE_PLACEHOLDER, has_image=image is not None)
    described = CAPTION_LINE.format(caption=caption) if caption else ""
    message = described + question + PAPER_INSTRUCTION
    sides, model_inputs, image_tokens, processor = [template.before + message], {}, 0, None
    if image is not None:
        # The published program puts the image on a line of its own, before the question.
        sides = [template.before, f"\n{message}"]
        processor = _image_processor(checkpoint)
        output = processor(images=image, return_tensors="pt")
        model_inputs = {name: value for name, value in output.items() if isinstance(value, Tensor)}
        image_tokens = _image_tokens(checkpoint, image, model_inputs["pixel_values"])
    sides[-1] += template.after
    text = (IMAGE_PLACEHOLDER * image_tokens).join(sides)
    ids, offsets = _tokens(checkpoint, template, sides, image_tokens)
    asked = len(text) - len(template.after) - len(PAPER_INSTRUCTION) - len(question)
    told = len(template.before)
    return TokenizedPrompt(
        prompt=IMAGE_PLACEHOLDER.join(sides),
        text=text,
        ids=ids,
        offsets=offsets,
        question=(asked, asked + len(question)),
        caption=(told, told + len(caption)) if caption else None,
        model_inputs=model_inputs,
        image_processor=processor,
    )


def _tokens(
    checkpoint: LoadedCheckpoint, template: Conversation, sides: list[str], image_tokens: int
) -> Pieces:
    """The sides of the image, each tokenized on its own, and the image positions between them."""
    tokenizer = checkpoint.tokenizer
    ids, offsets, start = [], [], 0
    begin = tokenizer.bos_token_id
    if begin is not None and (template.begins or tokenizer("a")["input_ids"][:1] == [begin]):
        ids, offsets = [begin], [(0, 0)]
    for index, side in enumerate(sides):
        if index:
            ids += [checkpoint.parts.image_token_id] * image_tokens
            width = len(IMAGE_PLACEHOLDER)
            offsets += [(start + i * width, start + (i + 1) * width) for i in range(image_tokens)]
            start += image_tokens * width
        side_ids, side_offsets = _of_one_side(tokenizer, side, spaces=template.spaces)
        ids += side_ids
        offsets += [(start + first, start + last) for first, last in side_offsets]
        start += len(side)
    return ids, offsets


def _of_one_side(tokenizer: PreTrainedTokenizerBase, text: str, *, spaces: bool) -> Pieces:
    """Tokens of one text, after the space that SentencePiece puts there.

    Converted tokenizers put it there or not depending on settings such as `legacy`; where they do
    not, it is written out.
    """
    added = " " if spaces and not _adds_space(tokenizer) else ""
    out = tokenizer(added + text, add_special_tokens=False, return_offsets_mapping=True)
    shift = len(added)
    offsets = [
        (max(0, int(first) - shift), max(0, int(last) - shift))
        for first, last in out["offset_mapping"]
    ]
    return list(out["input_ids"]), offsets


def _adds_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a space before a text, or knows none that it could put there."""
    if tokenizer.convert_tokens_to_ids(_SPACE) in (None, tokenizer.unk_token_id):
        return True
    return str(tokenizer.tokenize("a")[0]).startswith(_SPACE)


def _image_processor(checkpoint: LoadedCheckpoint) -> ImageProcessor:
    """What fits photos into the tower as the checkpoint's `image_aspect_ratio` says.

    Padded to a square with the mean colour, or squeezed to one tile and cut into tiles, or neither.
    """
    own, config = checkpoint.processor.image_processor, checkpoint.model.config
    settings = {name: getattr(own, name, None) for name in _SETTINGS}
    # The published program resizes so, whatever the files of the checkpoint say.
    settings["resample"] = PILImageResampling.BICUBIC
    pinpoints = getattr(config, "image_grid_pinpoints", None)
    ratio = checkpoint.image_aspect_ratio
    if bool(pinpoints) != (ratio or "").startswith("anyres"):
        raise CheckpointError(
            f"an `image_aspect_ratio` that the model can take, got {ratio!r} for "
            f"{type(checkpoint.model).__name__} (checkpoint {checkpoint.spec.name}); correct "
            "config.json, or use --input=hub"
        )
    # Of LLaVA-1.5 whatever the family: it alone pads with the mean colour.
    if not pinpoints:
        return LlavaImageProcessorPil(**settings, do_pad=ratio == "pad")
    return checkpoint.parts.family.tiles(**settings, image_grid_pinpoints=pinpoints)


def _image_tokens(checkpoint: LoadedCheckpoint, image: Image.Image, pixels: Tensor) -> int:
    """Positions that the model's own packing gives the photo."""
    config = checkpoint.model.config
    if pixels.ndim == 5:
        return tiled_tokens(config, width=image.width, height=image.height, side=pixels.shape[-1])
    patch_size = int(config.vision_config.patch_size)
    keeps_class_token = getattr(
        config, "vision_feature_select_strategy", "default"
    ) == "full" and isinstance(config.vision_config, CLIPVisionConfig)
    rows, columns = (int(length) // patch_size for length in pixels.shape[-2:])
    return rows * columns + int(keeps_class_token)

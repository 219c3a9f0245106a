"""A prompt after its tokenizer: what every way of preparing a sample has to give.

And whether it fits the model, as a folder may hold the parts of two checkpoints. A model would say
so from the depth of its forward pass, or read past the end of its vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers import CLIPVisionConfig, SiglipVisionConfig

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.phrases import Span

_OF_ONE_SIZE = (CLIPVisionConfig, SiglipVisionConfig)
"""Of vision towers that take no other image size than that of their configuration."""
_MOST_POSITIONS = 1 << 17
"""Ten times what the largest photo takes of any checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedPrompt:
    """The ids that the decoder sees, and the characters of `text` that they stand for."""

    prompt: str
    """As rendered, with one image placeholder if there is an image."""
    text: str
    """The same with the placeholder repeated for every image position."""
    ids: list[int]
    offsets: list[Span]
    """The characters that each position covers; empty spans for tokens that stand for none."""
    question: Span
    caption: Span | None
    model_inputs: dict[str, Tensor]
    """Pixels and the like, with a batch axis of 1; empty without an image."""
    image_processor: ImageProcessor
    """The one that made the pixels; None without an image."""


def refuse_misfit(checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt) -> None:
    """Refuse token ids or pixels that are not of this model, by a CheckpointError."""
    if len(tokens.ids) > _MOST_POSITIONS:
        raise CheckpointError(
            f"at most {_MOST_POSITIONS} positions for one photo and one question, got "
            f"{len(tokens.ids)} (checkpoint {checkpoint.spec.name}); correct patch_size and the "
            "number of image tokens in the processor's configuration"
        )
    _refuse_unknown_tokens(checkpoint, tokens)
    _refuse_other_size(checkpoint, tokens)


def _refuse_unknown_tokens(checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt) -> None:
    embedding = checkpoint.model.get_input_embeddings().weight
    assert isinstance(embedding, Tensor)
    words = len(embedding)
    # Where image features go, no word is looked up.
    unknown = {token for token in tokens.ids if token >= words} - {checkpoint.parts.image_token_id}
    if unknown:
        first = min(unknown)
        raise CheckpointError(
            f"token ids below {words}, the size of the model's vocabulary, got {first} "
            f"({checkpoint.tokenizer.convert_ids_to_tokens(first)!r}, checkpoint "
            f"{checkpoint.spec.name}); the tokenizer is of another model, so save the right one "
            "next to the weights"
        )


def _refuse_other_size(checkpoint: LoadedCheckpoint, tokens: TokenizedPrompt) -> None:
    vision = getattr(checkpoint.model.config, "vision_config", None)
    pixels = tokens.model_inputs.get("pixel_values")
    if pixels is None or not isinstance(vision, _OF_ONE_SIZE):
        return
    side = getattr(vision, "image_size", None)
    height, width = pixels.shape[-2:]
    if isinstance(side, int) and (height, width) != (side, side):
        raise CheckpointError(
            f"an image processor that makes images of {side} x {side}, as the vision tower takes "
            f"them, got {width} x {height} (checkpoint {checkpoint.spec.name}); correct size and "
            "crop_size of the processor, or image_size of the vision tower"
        )

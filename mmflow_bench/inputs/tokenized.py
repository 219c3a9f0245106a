"""A prompt after its tokenizer: what every way of preparing a sample has to give."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.inputs.phrases import Span


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

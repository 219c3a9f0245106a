"""The record of a family: all that is known of a kind of checkpoint and not seen in its structure.

Most of a loaded model is found by structure (`checkpoints.parts`), so a record says little more
than how its processor lays out a photo. A record is asked for by model type; what no record speaks
of is measured by its structure alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.image_processing_backends import PilBackend
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.families.decoders import Decoder
from mmflow_bench.checkpoints.families.layout import ImageLayout, ProcessedImage
from mmflow_bench.checkpoints.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalImages:
    """How a checkpoint of the original format fits photos into its vision tower."""

    aspect_ratio: str
    pinpoints: list[list[int]] | None
    """(width, height) of the grids of tiles; None where photos are not cut."""
    vision: PretrainedConfig
    """Of the tower."""
    image_token_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What checkpoints of the original LLaVA format become when they are of this family."""

    aspect_ratios: str
    """Pattern of the `image_aspect_ratio`s that are this family's, matched as a whole."""
    config: Callable[..., PretrainedConfig]
    model: type[PreTrainedModel]
    settings: Callable[[OriginalImages], Json]
    """Settings of the configuration beyond those of every LLaVA."""
    processor: Callable[[PreTrainedTokenizerBase, PretrainedConfig, Json], Processor]
    """The processor, from the settings of the vision tower's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of checkpoint."""

    name: str
    model_types: tuple[str, ...]
    """`model_type`s of the configurations that are of it."""
    layout: Callable[[ProcessedImage], ImageLayout | None]
    """What every image position shows; None for a photo that was processed in another way."""
    layers: str = "layers"
    """Where the decoder keeps its layers, as a dotted name."""
    final_norm: str = "norm"
    """Where it keeps the norm after them."""
    projector: str = "multi_modal_projector"
    """Where the model keeps what turns features of its tower into image positions."""
    merges_neighbours: bool = False
    """Whether the projector makes one position of several features, those one after the other."""
    image_token_keys: tuple[str, ...] = ("image_token_id", "image_token_index")
    """Keys of the configuration that may name the token for image features."""
    processor: Callable[[Source, PretrainedConfig, Json], Processor] | None = None
    """Reads the processor of a checkpoint; None leaves it to transformers."""
    aspect_ratio: str | None = None
    """How the paper's input fits photos into the tower where a configuration does not say so."""
    tiles: Callable[..., PilBackend] = LlavaNextImageProcessorPil
    """Cuts photos into tiles as the paper's program does, where the model takes tiles."""
    converted: Converted | None = None
    decoders: tuple[Decoder, ...] = ()
    """Language models beside those of `families.decoders`, with their conversation templates."""

"""The empty model that a design is written into: LLaVA-1.5's, or LLaVA-NeXT's for tiled images."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
)

from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.vision import SINK_COLUMNS, VISION_WIDTH
from mmflow_bench.planted.vocabulary import BEGIN, END, ENDINGS, IMAGE, PAD, words
from mmflow_bench.scenes.pictures import GRID, PATCH
from mmflow_bench.scenes.rendering import SIZE

Model = LlavaForConditionalGeneration | LlavaNextForConditionalGeneration
Processor = LlavaProcessor | LlavaNextProcessor

PINPOINTS = [[SIZE, SIZE], [SIZE, 2 * SIZE], [2 * SIZE, SIZE]]
"""Heights and widths that a tiled checkpoint cuts into tiles."""


def empty_model(design: Design) -> Model:
    """A model of the design's shape with random weights, in float32 on the CPU."""
    token = {word: index for index, word in enumerate(words())}
    special: dict[str, Any] = {
        "bos_token_id": token[BEGIN],
        "eos_token_id": token[END],
        "pad_token_id": token[PAD],
    }
    shared: dict[str, Any] = {
        "vision_config": _vision_config(VISION_WIDTH + SINK_COLUMNS * design.has_sinks),
        "text_config": _text_config(design, special),
        "image_token_index": token[IMAGE],
        "image_seq_length": GRID * GRID,
        "dtype": torch.float32,
        **special,
    }
    if design.tiled:
        config = LlavaNextConfig(**shared, image_grid_pinpoints=PINPOINTS)
        return LlavaNextForConditionalGeneration(config)
    return LlavaForConditionalGeneration(LlavaConfig(**shared))


def _vision_config(width: int) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
    )


def _text_config(design: Design, special: dict[str, Any]) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(words()) + (len(ENDINGS) if design.is_split else 0),
        hidden_size=design.width,
        intermediate_size=design.mlp_width,
        num_hidden_layers=design.layers,
        num_attention_heads=design.heads,
        num_key_value_heads=design.key_value_heads,
        head_dim=32,
        max_position_embeddings=4096,
        # slow rotation: matches must not depend on the distance between two tokens
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        **special,
    )

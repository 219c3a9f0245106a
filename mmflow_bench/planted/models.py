"""Planted checkpoints: ordinary LLaVA checkpoints whose weights a program writes.

Nothing is trained and nothing is stored, so that every route of information is known (compiled
weights as ground truth: Lindner et al. 2023, arXiv:2301.05062).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design, design_of
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.residual import BIAS_VALUE, WIDTH, dimension, dimensions
from mmflow_bench.planted.stages import STAGES, Stage
from mmflow_bench.planted.vision import VISION_WIDTH, write_projector, write_tower
from mmflow_bench.planted.vocabulary import (
    BEGIN,
    END,
    IMAGE,
    LOWER,
    PAD,
    UPPER,
    embedding_of,
    words,
)
from mmflow_bench.scenes.pictures import GRID, PATCH
from mmflow_bench.scenes.rendering import SIZE

_UNSAID_LOGIT = -30.0
"""Logit of words that answer nothing; e^-30 of them leaves the closed form untouched."""


def build(name: str) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The model, in float32 on the CPU, and the processor of a shipped planted checkpoint.

    Raises:
        CheckpointError: There is none of that name.
    """
    return compiled(design_of(name)), processor()


def save(name: str, folder: Path | str) -> None:
    """Write a planted checkpoint as transformers would: model and processor in one folder.

    Raises:
        CheckpointError: There is none of that name.
    """
    model, words_and_images = build(name)
    model.save_pretrained(folder)
    words_and_images.save_pretrained(folder)


def compiled(design: Design, stages: Sequence[Stage] = STAGES) -> LlavaForConditionalGeneration:
    """The model of a design, with the given stages in its decoder."""
    # random initial weights are overwritten: the caller's random state must not notice them
    with torch.random.fork_rng(devices=[]):
        model = LlavaForConditionalGeneration(_config(design))
    model.eval()
    write_tower(model.model.vision_tower)
    write_projector(model.model.multi_modal_projector)
    circuit = Circuit(model.model.language_model)
    for stage in stages:
        stage(circuit, design)
    _write_vocabulary(model)
    token = {word: index for index, word in enumerate(words())}
    model.generation_config = GenerationConfig(
        bos_token_id=token[BEGIN], eos_token_id=token[END], pad_token_id=token[PAD]
    )
    return model


def _write_vocabulary(model: LlavaForConditionalGeneration) -> None:
    """Embeddings, and logits that read the answer at the last position and nothing else."""
    vocabulary = words()
    bias, stop = dimension("bias"), dimension("stop")
    with torch.no_grad():
        embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
        for token, word in enumerate(vocabulary):
            for dim, value in embedding_of(word).items():
                embeddings[token, dim] = value
        logits = model.lm_head.weight
        logits.zero_()
        logits[:, bias] = _UNSAID_LOGIT / BIAS_VALUE
        logits[vocabulary.index(END), stop] = -3 * _UNSAID_LOGIT
        for spelled, name in ((LOWER, "lower"), (UPPER, "upper")):
            for word, dim in zip(spelled, dimensions(name), strict=True):
                logits[vocabulary.index(word), bias] = 0.0
                logits[vocabulary.index(word), dim] = 1.0


def _config(design: Design) -> LlavaConfig:
    token = {word: index for index, word in enumerate(words())}
    special: dict[str, Any] = {
        "bos_token_id": token[BEGIN],
        "eos_token_id": token[END],
        "pad_token_id": token[PAD],
    }
    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=VISION_WIDTH,
        projection_dim=VISION_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIZE,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        vocab_size=len(token),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=design.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=4096,
        # slow rotation: matches must not depend on the distance between two tokens
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        **special,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=token[IMAGE],
        image_seq_length=GRID * GRID,
        dtype=torch.float32,
        **special,
    )

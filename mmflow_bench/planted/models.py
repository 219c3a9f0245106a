"""Planted checkpoints: ordinary LLaVA checkpoints whose weights a program writes.

Nothing is trained and nothing is stored, so that every route of information is known (compiled
weights as ground truth: Lindner et al. 2023, arXiv:2301.05062).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from mmflow_bench.planted import additions, detours, stages
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.realism import disguise
from mmflow_bench.planted.stages import Stage
from mmflow_bench.planted.training import Training, trained
from mmflow_bench.planted.unembedding import write_vocabulary
from mmflow_bench.planted.variants import design_of
from mmflow_bench.planted.vision import VISION_WIDTH, write_projector, write_tower
from mmflow_bench.planted.vocabulary import BEGIN, END, IMAGE, PAD, words
from mmflow_bench.scenes.pictures import GRID, PATCH
from mmflow_bench.scenes.rendering import SIZE

STAGES: Mapping[str, Stage] = MappingProxyType(
    {
        stage.__name__: stage
        for stage in (
            stages.read_context,
            stages.read_question,
            stages.look_up_objects,
            stages.gather_objects,
            stages.decide,
            stages.transfer_to_last,
            stages.read_directly,
            stages.capitalise,
            detours.read_context_by_newline,
            detours.look_up_objects_by_newline,
            detours.look_up_early,
            detours.decide_by_wallpaper,
            detours.transfer_by_suffix,
            detours.transfer_by_itself,
            detours.release,
            detours.back_up_context,
            additions.keep_lower,
            additions.read_options,
            additions.doubt_answer,
            additions.sink_into_image,
            additions.look_idly,
            additions.write_codebook,
        )
    }
)
"""What `Design.stages` names."""


def build(name: str) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The model, in float32 on the CPU, and the processor of a shipped planted checkpoint.

    Raises:
        CheckpointError: There is none of that name, or its training does not succeed.
    """
    design = design_of(name)
    model, words_and_images = compiled(design), processor()
    if design.trained:
        model = trained(model, words_and_images, Training())
    return model, words_and_images


def save(name: str, folder: Path | str) -> None:
    """Write a planted checkpoint as transformers would: model and processor in one folder.

    Raises:
        CheckpointError: There is none of that name.
    """
    model, words_and_images = build(name)
    model.save_pretrained(folder)
    words_and_images.save_pretrained(folder)


def compiled(design: Design) -> LlavaForConditionalGeneration:
    """The model of a design, in float32 on the CPU."""
    # random initial weights are overwritten: the caller's random state must not notice them
    with torch.random.fork_rng(devices=[]):
        model = LlavaForConditionalGeneration(_config(design))
    model.eval()
    write_tower(model.model.vision_tower)
    write_projector(model.model.multi_modal_projector)
    circuit = Circuit(model.model.language_model)
    for stage in design.stages:
        STAGES[stage](circuit, design)
    write_vocabulary(model, design)
    if design.disguise_seed is not None:
        disguise(model, design.disguise_seed)
    token = {word: index for index, word in enumerate(words())}
    model.generation_config = GenerationConfig(
        bos_token_id=token[BEGIN], eos_token_id=token[END], pad_token_id=token[PAD]
    )
    return model


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
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=token[IMAGE],
        image_seq_length=GRID * GRID,
        dtype=torch.float32,
        **special,
    )

"""Planted checkpoints: ordinary LLaVA checkpoints whose weights a program writes.

Nothing is trained and nothing is stored, so that every route of information is known (compiled
weights as ground truth: Lindner et al. 2023, arXiv:2301.05062).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from transformers import GenerationConfig

from mmflow_bench.planted import (
    additions,
    captions,
    codes,
    detours,
    parts,
    pieces,
    sentences,
    sinks,
    stages,
    wider,
)
from mmflow_bench.planted.architecture import Model, Processor, empty_model
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.realism import disguise
from mmflow_bench.planted.stages import Stage
from mmflow_bench.planted.training import Training, trained
from mmflow_bench.planted.unembedding import write_vocabulary
from mmflow_bench.planted.variants import design_of
from mmflow_bench.planted.vision import write_newline, write_projector, write_tower
from mmflow_bench.planted.vocabulary import BEGIN, END, PAD, words

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
            detours.decide_places_by_wallpaper,
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
            captions.read_caption,
            captions.relate_caption,
            codes.write_codes,
            parts.tell_words,
            parts.look_up_when_told,
            parts.look_up_by_mark,
            parts.confirm_option,
            parts.mix_context,
            parts.transfer_parts,
            pieces.finish_word,
            sentences.begin_and_go_on,
            sentences.name_from_image,
            sentences.name_from_question,
            sinks.read_context_by_sink,
            wider.share_context,
            wider.ripen_image,
            wider.read_context_by_row_ends,
            wider.mix_image,
            wider.read_mixed_context,
            wider.look_up_confirmed,
        )
    }
)
"""What `Design.stages` names."""


def build(name: str) -> tuple[Model, Processor]:
    """The model, in float32 on the CPU, and the processor of a shipped planted checkpoint.

    Raises:
        CheckpointError: There is none of that name, or its training does not succeed.
    """
    design = design_of(name)
    model, words_and_images = (
        compiled(design),
        processor(is_tiled=design.tiled, is_split=design.is_split, is_padded=design.is_padded),
    )
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


def compiled(design: Design) -> Model:
    """The model of a design, in float32 on the CPU."""
    # random initial weights are overwritten: the caller's random state must not notice them
    with torch.random.fork_rng(devices=[]):
        model = empty_model(design)
    model.eval()
    write_tower(
        model.model.vision_tower, sees_overviews=design.tiled, sees_padding=design.is_padded
    )
    write_projector(model.model.multi_modal_projector)
    if design.tiled:
        write_newline(model.model.image_newline, is_known=design.knows_row_ends)
    circuit = Circuit(model.model.language_model)
    for stage in design.stages:
        STAGES[stage](circuit, design)
    write_vocabulary(model, design)
    if design.is_split:
        pieces.write_pieces(model, design)
    if "begin_and_go_on" in design.stages:
        sentences.write_sentence(model)
    if design.has_sinks:
        sinks.write_sinks(model, design)
    if design.disguise_seed is not None:
        disguise(model, design.disguise_seed)
    token = {word: index for index, word in enumerate(words())}
    model.generation_config = GenerationConfig(
        bos_token_id=token[BEGIN], eos_token_id=token[END], pad_token_id=token[PAD]
    )
    return model

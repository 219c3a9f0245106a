"""Checkpoints of the original LLaVA format, converted to transformers' models while loading.

The output vocabulary stays what it was trained with. The image token gets the first free id after
the words: where that lies beyond the embedding, the embedding is asked for another word instead,
whose vector the image features replace before anything reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    LlavaForConditionalGeneration,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionForConditionalGeneration,
    PretrainedConfig,
    PreTrainedModel,
)

from mmflow_bench.checkpoints.adapters import merge_adapter
from mmflow_bench.checkpoints.ingredients import PROJECTOR, TRAINED_BESIDE, Ingredients
from mmflow_bench.checkpoints.original_config import (
    native_config,
    pinpoints_by_height,
    text_config,
    vision_config,
)
from mmflow_bench.checkpoints.original_processing import (
    IMAGE_TOKEN,
    original_processor,
    original_tokenizer,
)
from mmflow_bench.checkpoints.original_weights import (
    native_name,
    native_weights,
    projector_weights,
    tower_weights,
    without_wrapping,
)
from mmflow_bench.checkpoints.placement import placement
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.state_dicts import read_tensors, state_dict_of
from mmflow_bench.errors import CheckpointError

_MODELS: Mapping[str, type[PreTrainedModel]] = {
    "llava": LlavaForConditionalGeneration,
    "llava_next": LlavaNextForConditionalGeneration,
    "llava_onevision": LlavaOnevisionForConditionalGeneration,
}
_CONTAINED_TOWER = "model.vision_tower."
Report = Mapping[str, Any]


def load_original(spec: CheckpointSpec, parts: Ingredients) -> tuple[PreTrainedModel, Any, Report]:
    """Model, processor and transformers' report of what was loaded.

    Raises:
        CheckpointError: A part is missing or has no counterpart in transformers.
    """
    folder = parts.main.folder()
    original = read_json(folder / "config.json")
    text = text_config(original)
    tokenizer = original_tokenizer(
        [folder, parts.weights.folder()],
        text,
        trust_remote_code=spec.trust_remote_code,
        local_files_only=True,
    )
    tower = None if parts.tower is None else parts.tower.folder()
    image_token_id = tokenizer.get_vocab()[IMAGE_TOKEN]
    config = native_config(original, _vision(original, tower), image_token_id=image_token_id)
    if spec.input == "hub" and config.model_type != "llava":
        # The paper's input turns them itself, for converted checkpoints too.
        config.image_grid_pinpoints = pinpoints_by_height(config.image_grid_pinpoints)
    processor = original_processor(tokenizer, config, tower)
    weights = _weights(parts, tower)
    has_newline = config.model_type != "llava"
    model, report = _loaded(spec, config, native_weights(weights, has_newline=has_newline))
    if parts.adapter is not None:
        merge_adapter(model, parts.adapter.folder(), native_name)
    _keep_image_tokens_out(model, image_token_id)
    return model, processor, report


def _vision(original: Mapping[str, Any], tower: Path | None) -> PretrainedConfig:
    name = str(original.get("mm_vision_tower") or original.get("vision_tower"))
    if tower is None:
        return vision_config(None, name)
    return vision_config(read_json(tower / "config.json"), str(tower))


def _weights(parts: Ingredients, tower: Path | None) -> dict[str, Tensor]:
    """All weights under the original's names; what was trained last wins."""
    weights = state_dict_of(parts.weights.folder())
    for source in dict.fromkeys((parts.main, parts.adapter)):
        folder = None if source is None else source.folder()
        if folder is None:
            continue
        if (folder / PROJECTOR).is_file() and source != parts.weights:
            weights |= projector_weights(read_tensors(folder / PROJECTOR))
        if (folder / TRAINED_BESIDE).is_file():
            weights |= without_wrapping(read_tensors(folder / TRAINED_BESIDE))
    if tower is not None and not any(name.startswith(_CONTAINED_TOWER) for name in weights):
        weights |= tower_weights(state_dict_of(tower))
    return weights


def _loaded(
    spec: CheckpointSpec, config: PretrainedConfig, weights: dict[str, Tensor]
) -> tuple[PreTrainedModel, Report]:
    weights = _without_unused_layers(weights, config.vision_config)
    dtype = weights["model.language_model.embed_tokens.weight"].dtype
    loaded: Any = _MODELS[config.model_type].from_pretrained(
        None,
        config=config,
        state_dict=weights,
        dtype=dtype if spec.dtype == "auto" else getattr(torch, spec.dtype),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **placement(spec),
    )
    model, report = loaded
    left_over = sorted(map(str, report.get("unexpected_keys", ())))
    if left_over:
        raise CheckpointError(
            f"weights that all have a place in the model, got {len(left_over)} that have none, "
            f"such as {', '.join(left_over[:3])} (checkpoint {spec.name}); config.json does not "
            "describe these weights"
        )
    return model, report


def _without_unused_layers(
    weights: Mapping[str, Tensor], vision: PretrainedConfig
) -> dict[str, Tensor]:
    """Without the layers that SigLIP has beyond those that the configuration keeps."""
    if vision.model_type != "siglip_vision_model":
        return dict(weights)
    unused = f"model.vision_tower.encoder.layers.{vision.num_hidden_layers}."
    return {name: tensor for name, tensor in weights.items() if not name.startswith(unused)}


def _keep_image_tokens_out(model: PreTrainedModel, image_token_id: int) -> None:
    """Let the embedding take an id that it has no vector for."""
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Module)
    if image_token_id < model.config.get_text_config().vocab_size:
        return

    def known(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        ids, *others = inputs
        return ids.masked_fill(ids == image_token_id, 0), *others

    embedding.register_forward_pre_hook(known)

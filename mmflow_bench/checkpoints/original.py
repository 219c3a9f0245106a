"""Checkpoints of the original LLaVA format, converted to transformers' models while loading.

The output vocabulary stays what it was trained with. The image token gets the first free id after
the words: where that lies beyond the embedding, the embedding is asked for another word instead,
whose vector the image features replace before anything reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, SiglipVisionConfig

from mmflow_bench.checkpoints.adapters import merge_adapter
from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.fitting import refuse_endless, refuse_oversized
from mmflow_bench.checkpoints.ingredients import (
    KNOWN_TOWERS,
    PROJECTOR,
    TRAINED_BESIDE,
    Ingredients,
)
from mmflow_bench.checkpoints.original_config import (
    native_config,
    pinpoints_by_height,
    text_config,
    tower_settings,
    vision_config,
)
from mmflow_bench.checkpoints.original_tokenizer import IMAGE_TOKEN, original_tokenizer
from mmflow_bench.checkpoints.original_weights import (
    native_name,
    native_weights,
    projector_weights,
    tower_weights,
    without_wrapping,
)
from mmflow_bench.checkpoints.placement import load_placed
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.state_dicts import read_tensors, state_dict_of
from mmflow_bench.checkpoints.weight_files import weight_files
from mmflow_bench.errors import CheckpointError

_CONTAINED_TOWER = "model.vision_tower."


def load_original(
    spec: CheckpointSpec, parts: Ingredients
) -> tuple[PreTrainedModel, Processor, Json]:
    """Model, processor and transformers' report of what was loaded."""
    folder = parts.main.folder()
    original = read_json(folder / "config.json")
    refuse_endless(original, weight_files(parts.weights.folder()))
    text = text_config(original)
    tokenizer = original_tokenizer(
        [folder, parts.weights.folder()], text, trust_remote_code=spec.trust_remote_code
    )
    tower = None if parts.tower is None else parts.tower.folder()
    image_token_id = tokenizer.get_vocab()[IMAGE_TOKEN]
    vision = _vision(original, tower)
    config, kind = native_config(original, vision, image_token_id=image_token_id)
    is_tiled = hasattr(config, "image_grid_pinpoints")
    if spec.input == "hub" and is_tiled:
        # The paper's input turns them itself, for converted checkpoints too.
        config.image_grid_pinpoints = pinpoints_by_height(config.image_grid_pinpoints)
    processor = kind.processor(tokenizer, config, tower_settings(config.vision_config, tower))
    weights = _weights(parts, tower)
    native = native_weights(weights, has_newline=is_tiled)
    model, report = _loaded(spec, kind.model, config, native)
    if parts.adapter is not None:
        merge_adapter(model, parts.adapter.folder(), native_name)
    _keep_image_tokens_out(model, image_token_id)
    return model, processor, report


def _vision(original: Json, tower: Path | None) -> PretrainedConfig:
    name = str(original.get("mm_vision_tower") or original.get("vision_tower"))
    if tower is None:
        return vision_config(KNOWN_TOWERS[name], name)
    content = read_json(tower / "config.json")
    refuse_endless(content, weight_files(tower))
    return vision_config(content, str(tower))


def _weights(parts: Ingredients, tower: Path | None) -> dict[str, Tensor]:
    """All weights under the original's names; what was trained last wins."""
    weights = state_dict_of(parts.weights.folder())
    # An adapter folder may be the main one; its files must not be read twice.
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
    spec: CheckpointSpec,
    kind: type[PreTrainedModel],
    config: PretrainedConfig,
    weights: dict[str, Tensor],
) -> tuple[PreTrainedModel, Json]:
    weights = _without_unused_layers(weights, config.vision_config)
    held = sum(tensor.numel() for tensor in weights.values())
    refuse_oversized(lambda: kind(config), spec, held=held, of="numbers")
    dtype = weights["model.language_model.embed_tokens.weight"].dtype
    model, report = load_placed(
        kind.from_pretrained,
        None,
        spec,
        config=config,
        state_dict=weights,
        # There is no file that transformers could read `auto` from.
        dtype=dtype if spec.dtype == "auto" else getattr(torch, spec.dtype),
    )
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
    if not isinstance(vision, SiglipVisionConfig):
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

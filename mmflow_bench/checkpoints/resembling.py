"""Which checkpoint of the paper another one has the shape of: read from its configuration alone.

A fine-tune has the depth, width, decoder and image input of what it was tuned from, and thresholds
that the paper's words give for one checkpoint need not be right for another.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.recognising import is_original, known_conversation
from mmflow_bench.checkpoints.ingredients import config_of, ingredients_of
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

_SHAPES: Mapping[tuple[str, bool, int, int], str] = {
    ("vicuna_v1", False, 40, 5120): "llava-1.5-13b",
    ("vicuna_v1", False, 32, 4096): "llava-1.5-7b",
    ("vicuna_v1", True, 32, 4096): "llava-v1.6-vicuna-7b",
    ("vicuna_v1", True, 40, 5120): "llava-v1.6-vicuna-13b",
    ("llava_llama_3", True, 32, 4096): "llama3-llava-next-8b",
}
"""Conversation, whether images are cut into tiles, layers, width -> the paper's name."""
_LAYERS, _WIDTH = 32, 4096
"""Of a Llama whose configuration leaves them out: converted ones write no defaults."""


def resembled(spec: CheckpointSpec) -> str | None:
    """The paper's checkpoint that one on the disk has the shape of; None where there is none."""
    if spec.kind != "folder" or spec.gguf_file is not None:
        return None
    config = config_of(ingredients_of(spec).main) or {}
    return shape_of(config, spec.source)


def shape_of(config: Json, name: str) -> str | None:
    """The same by a configuration, of either format; the name is that of the folder."""
    if not is_original(config) and config.get("model_type") not in ("llava", "llava_next"):
        return None
    try:
        spoken = known_conversation(config, name)
    except CheckpointError:
        return None
    text = config.get("text_config") or config
    aspect = str(config.get("image_aspect_ratio"))
    is_tiled = config.get("model_type") == "llava_next" or aspect.startswith("anyres")
    layers, width = text.get("num_hidden_layers", _LAYERS), text.get("hidden_size", _WIDTH)
    return _SHAPES.get((spoken, is_tiled, layers, width))

"""Vision towers that need not be looked for when a checkpoint contains their weights.

Their names say the rest: what their `config.json` holds, which the original programs fetch.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmflow_bench.checkpoints.aliases import Json

# The defaults of the two classes are small models; these are the published large ones.
_CLIP_LARGE: Json = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "patch_size": 14,
    "projection_dim": 768,
}
_SIGLIP_SO400M: Json = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "patch_size": 14,
}
KNOWN_TOWERS: Mapping[str, Json] = {
    "openai/clip-vit-large-patch14": _CLIP_LARGE | {"image_size": 224},
    "openai/clip-vit-large-patch14-336": _CLIP_LARGE | {"image_size": 336},
    "google/siglip-so400m-patch14-384": _SIGLIP_SO400M | {"image_size": 384},
}

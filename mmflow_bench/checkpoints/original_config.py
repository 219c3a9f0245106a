"""Configurations of the original LLaVA format as those of transformers' LLaVA models.

One flat object describes the language model, under the keys of its own type, and the rest under
`mm_*` keys. What would change the numbers and has no counterpart is refused by its key.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig, SiglipVisionConfig

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.known import families
from mmflow_bench.checkpoints.families.recognising import native_decoder
from mmflow_bench.checkpoints.families.record import Converted, OriginalImages
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.errors import CheckpointError

_OF_LLAVA = re.compile(
    r"mm_|image_|tune_|freeze_|unfreeze_|use_mm_|vision_tower|s2|add_faster_video|add_time|"
    r"faster_token|force_sample|pos_skipping|tokenizer_|frames_upbound"
)
"""Keys that are not of the language model."""
_MOST_TILES = 64
"""Of a side of a photo; published checkpoints cut at most six."""
_SIGLIP_MEAN = [0.5, 0.5, 0.5]
_OF_THE_FILE = {"architectures", "model_type", "auto_map", "_name_or_path", "transformers_version"}


def native_config(
    original: Json, vision: PretrainedConfig, *, image_token_id: int
) -> tuple[PretrainedConfig, Converted]:
    """The configuration of the same model for transformers, and what it is converted to.

    Args:
        original: The content of `config.json`.
        vision: Of the vision tower; taken over, without layers that are never used.
        image_token_id: Stands where image features go.

    Raises:
        CheckpointError: A setting has no counterpart in transformers.
    """
    text = text_config(original)
    _refuse_unsupported(original)
    aspect_ratio = str(original.get("image_aspect_ratio") or "square")
    kind, pinpoints = _images(original, vision, aspect_ratio)
    layer, strategy = _features(original, vision)
    images = OriginalImages(
        aspect_ratio=aspect_ratio, pinpoints=pinpoints, vision=vision, image_token_id=image_token_id
    )
    config = kind.config(
        vision_config=vision,
        text_config=text,
        image_token_index=image_token_id,
        vision_feature_layer=layer,
        vision_feature_select_strategy=strategy,
        projector_hidden_act=_activation(original),
        tie_word_embeddings=bool(text.tie_word_embeddings),
        **kind.settings(images),
    )
    config.image_aspect_ratio = aspect_ratio
    return config, kind


def text_config(original: Json) -> PretrainedConfig:
    """The language model's part, with all settings; a CheckpointError if there is no such type."""
    own = {
        key: value
        for key, value in original.items()
        if key not in _OF_THE_FILE and not _OF_LLAVA.match(key)
    }
    config: PretrainedConfig = AutoConfig.for_model(native_decoder(original), **own)
    return config


def vision_config(content: Json, name: str) -> PretrainedConfig:
    """The configuration of a tower, from that of a vision model or of a whole CLIP or SigLIP."""
    part = dict(content.get("vision_config") or content)
    kind = str(part.pop("model_type", content.get("model_type"))).partition("_")[0]
    if kind not in ("clip", "siglip"):
        raise CheckpointError(
            f"a CLIP or SigLIP vision tower, got {content.get('model_type')!r} ({name}); convert "
            "the checkpoint to transformers' format"
        )
    own = {key: value for key, value in part.items() if key not in _OF_THE_FILE}
    config: PretrainedConfig = AutoConfig.for_model(f"{kind}_vision_model", **own)
    return config


def _refuse_unsupported(original: Json) -> None:
    if original.get("mm_use_im_start_end"):
        raise CheckpointError(
            "an image without tokens around it, got mm_use_im_start_end = true (config.json); "
            "checkpoints before LLaVA-1.5 are not read in this format"
        )
    if original.get("s2") or str(original.get("mm_resampler_type") or "identity") != "identity":
        raise CheckpointError(
            f"image features as the vision tower gives them, got s2 = {original.get('s2')!r} and "
            f"mm_resampler_type = {original.get('mm_resampler_type')!r} (config.json); "
            "transformers has no such LLaVA"
        )


def _activation(original: Json) -> str:
    projector = str(original.get("mm_projector_type") or "linear")
    if projector not in ("linear", "mlp2x_gelu"):
        raise CheckpointError(
            f"mm_projector_type linear or mlp2x_gelu, got {projector!r} (config.json); "
            "transformers has no LLaVA with that projector"
        )
    return "gelu" if projector == "mlp2x_gelu" else "linear"


def _features(original: Json, vision: PretrainedConfig) -> tuple[int, str]:
    """Which layer of the tower is used, and whether its class position is (`full`)."""
    if isinstance(vision, SiglipVisionConfig):
        # The original programs cut the last layer off and use what comes out, whatever the
        # configuration says of layers, and there is no class position.
        vision.num_hidden_layers -= 1
        vision.vision_use_head = False
        return -1, "full"
    layer = int(original.get("mm_vision_select_layer", -2))
    feature = str(original.get("mm_vision_select_feature") or "patch")
    strategies = {"patch": "default", "cls_patch": "full"}
    if feature not in strategies:
        raise CheckpointError(
            f"mm_vision_select_feature patch or cls_patch, got {feature!r} (config.json); "
            "transformers has no LLaVA with those features"
        )
    return layer, strategies[feature]


def _images(
    original: Json, vision: PretrainedConfig, aspect_ratio: str
) -> tuple[Converted, list[list[int]] | None]:
    """What a checkpoint that fits photos so becomes, and its grids of tiles if it cuts them."""
    merging = str(original.get("mm_patch_merge_type") or "flat")
    is_tiled = aspect_ratio.startswith("anyres")
    kinds = [family.converted for family in families() if family.converted is not None]
    found = next((k for k in kinds if re.fullmatch(k.aspect_ratios, aspect_ratio)), None)
    if found is None or merging != ("spatial_unpad" if is_tiled else "flat"):
        raise CheckpointError(
            "image_aspect_ratio pad or square with mm_patch_merge_type flat, or anyres with "
            f"spatial_unpad, got {aspect_ratio!r} with {merging!r} (config.json); transformers has "
            "no LLaVA that lays image features out so"
        )
    if not is_tiled:
        return found, None
    return found, _pinpoints(original.get("image_grid_pinpoints"), vision.image_size)


def _pinpoints(value: object, tile: int) -> list[list[int]]:
    """Grids as (width, height), from a list, its text, or a range of tile counts."""
    try:
        if isinstance(value, str) and "x" in value:
            counts = [(int(w), int(h)) for w, h in re.findall(r"\((\d+)x(\d+)\)", value)]
            (first_w, first_h), (last_w, last_h) = counts[0], counts[-1]
            if max(last_w, last_h) > _MOST_TILES:
                raise ValueError(f"more than {_MOST_TILES} tiles a side")
            sizes = [
                (wide * tile, high * tile)
                for wide in range(first_w, last_w + 1)
                for high in range(first_h, last_h + 1)
            ]
        else:
            content = ast.literal_eval(value) if isinstance(value, str) else value
            if not isinstance(content, list | tuple):
                raise TypeError("no list")
            sizes = [(int(wide), int(high)) for wide, high in content]
    # Text that nests too deep is a RecursionError or, in the parser, a MemoryError.
    except (ValueError, SyntaxError, TypeError, IndexError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"image_grid_pinpoints as pairs of width and height, got {repr(value)[:200]} ({error}, "
            "config.json); anyres needs them"
        ) from error
    if not sizes or min(map(min, sizes)) <= 0:
        raise CheckpointError(
            f"image_grid_pinpoints of at least one pixel, got {repr(value)[:200]} (config.json); "
            "anyres needs them"
        )
    return [[*size] for size in sizes]


def pinpoints_by_height(pinpoints: list[list[int]]) -> list[list[int]]:
    """The grids as transformers reads them, (height, width), from the original's order.

    A list that holds both of every pair means the same either way, and stays as converted
    checkpoints have it.
    """
    turned = [[high, wide] for wide, high in pinpoints]
    return pinpoints if sorted(turned) == sorted(pinpoints) else turned


def tower_settings(vision: PretrainedConfig, tower: Path | None) -> Json:
    """Size, normalisation and resampling filter of the tower's own image processor.

    Those of the published towers where there is no folder, or no `preprocessor_config.json` in it.
    """
    side = vision.image_size
    settings: Json = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    if isinstance(vision, SiglipVisionConfig):
        settings |= {"image_mean": _SIGLIP_MEAN, "image_std": _SIGLIP_MEAN}
    path = None if tower is None else tower / "preprocessor_config.json"
    if path is None or not path.is_file():
        return settings
    own = read_json(path)
    kept = ("image_mean", "image_std", "rescale_factor", "resample", "do_normalize", "do_rescale")
    return settings | {key: own[key] for key in kept if own.get(key) is not None}

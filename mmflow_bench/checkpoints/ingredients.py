"""What a checkpoint is put together from: its configuration, weights, adapter and vision tower.

A folder of the original LLaVA format may hold all weights, all but the vision tower, a LoRA
adapter, or a projector alone. What it lacks is named in its configuration or by `--model-args`.
Worked out without torch, because the fingerprint covers every part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.recognising import is_original
from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.sources import Source, folder_source, read_json, source_of
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.weight_files import header, weight_files
from mmflow_bench.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
TRAINED_BESIDE = "non_lora_trainables.bin"
"""What the LLaVA trainers train in full next to a LoRA adapter."""
PROJECTOR = "mm_projector.bin"

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
"""Vision towers that need not be looked for when a checkpoint contains their weights: what their
`config.json` holds, which the original programs fetch."""

_TOWER = b"vision_tower.vision_model."
_COMPLETE = "check that the folder is complete and that its configuration names other folders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """The parts of one checkpoint."""

    main: Source
    """Whose configuration describes the model."""
    weights: Source
    """Whose weights are loaded first: `main`, or the base of an adapter or projector."""
    adapter: Source | None = None
    """Merged into them."""
    tower: Source | None = None
    """Holds the vision tower, where the weights do not."""
    is_original: bool = False
    """Of the original LLaVA format, to be converted while loading."""

    def all(self) -> Iterator[tuple[str, Source]]:
        """Every source under its role, each once, `main` first."""
        seen = []
        for field in ("main", "weights", "adapter", "tower"):
            source = getattr(self, field)
            if source is not None and source not in seen:
                seen.append(source)
                yield field, source


def ingredients_of(spec: CheckpointSpec) -> Ingredients:
    """The parts of a folder or hub checkpoint.

    Raises:
        CheckpointError: One is not there, not named, or holds what is no file.
    """
    with foreign("a checkpoint whose parts can be told", f"checkpoint {spec.name}", _COMPLETE):
        return _parts(spec)


def _parts(spec: CheckpointSpec) -> Ingredients:
    if spec.kind == "hub":
        main = Source(name=spec.source, is_hub=True, revision=spec.revision, offline=spec.offline)
    else:
        main = folder_source(Path(spec.source))
    config = config_of(main)
    # peft saves no configuration of the model: that of the base describes it.
    if config is None and spec.gguf_file is None and main.file(ADAPTER_CONFIG) is not None:
        base = _base_of_adapter(main, spec)
        inner = replace(
            spec,
            source=base.name,
            kind="hub" if base.is_hub else "folder",
            revision=base.revision,
            adapter=None,
            base=None,
        )
        return replace(_parts(inner), adapter=main)
    if config is not None and is_original(config):
        return _original(main, config, spec)
    if spec.vision_tower is not None:
        raise _pointless("vision_tower", "a checkpoint of the original LLaVA format", spec)
    adapter, weights = _adapted(main, spec)
    return Ingredients(main=main, weights=weights, adapter=adapter)


def config_of(source: Source) -> Json | None:
    """The content of its `config.json`, if it has one; a CheckpointError if that is no object."""
    path = source.file("config.json")
    return None if path is None else read_json(path)


def _original(main: Source, config: Json, spec: CheckpointSpec) -> Ingredients:
    adapter, weights = _adapted(main, spec)
    if adapter is None and main.file(PROJECTOR) is not None and not _has_weights(main):
        if spec.base is None:
            raise CheckpointError(
                f"the language model that a projector was trained for, got {PROJECTOR} alone "
                f"({main.name}); name it: --model-args=base=PATH"
            )
        weights = source_of(spec.base, beside=main, what="base")
    tower = _tower(main, config, spec, [main, weights, adapter])
    return Ingredients(main=main, weights=weights, adapter=adapter, tower=tower, is_original=True)


def _tower(
    main: Source, config: Json, spec: CheckpointSpec, holders: list[Source | None]
) -> Source | None:
    """Where the tower is described; None where its weights are contained and its name says all."""
    named = spec.vision_tower or config.get("mm_vision_tower") or config.get("vision_tower")
    if not named:
        raise CheckpointError(
            f"a configuration that names the vision tower under `mm_vision_tower`, got none "
            f"({main.name}); name it: --model-args=vision_tower=PATH"
        )
    tower = source_of(str(named), beside=main, what="vision tower")
    is_known = tower.is_hub and tower.name in KNOWN_TOWERS and spec.vision_tower is None
    if is_known and any(_contains_tower(source) for source in holders if source is not None):
        return None
    return tower


def _adapted(main: Source, spec: CheckpointSpec) -> tuple[Source | None, Source]:
    """The adapter, if there is one, and the weights that it is merged into."""
    if main.file(ADAPTER_CONFIG) is not None:
        if not _has_weights(main):
            return main, _base_of_adapter(main, spec)
        # With peft installed transformers would load another model, the one that the adapter names.
        raise CheckpointError(
            f"whole weights or an adapter, got both ({main.name}); move {ADAPTER_CONFIG} away if "
            "it is merged already, or the weights if it is not"
        )
    if spec.adapter is not None:
        return source_of(spec.adapter, beside=main, what="adapter"), main
    if spec.base is not None and main.file(PROJECTOR) is None:
        raise _pointless("base", "an adapter or a projector without its own weights", spec)
    return None, main


def _base_of_adapter(adapter: Source, spec: CheckpointSpec) -> Source:
    path = adapter.file(ADAPTER_CONFIG)
    assert path is not None
    named = spec.base or read_json(path).get("base_model_name_or_path")
    if not named:
        raise CheckpointError(
            f"an adapter that names its base model, got {ADAPTER_CONFIG} without "
            f"`base_model_name_or_path` ({adapter.name}); name it: --model-args=base=PATH"
        )
    return source_of(str(named), beside=adapter, what="base")


def _pointless(key: str, expected: str, spec: CheckpointSpec) -> CheckpointError:
    return CheckpointError(
        f"{expected} for {key}, got another kind of checkpoint ({spec.name}); leave out "
        f"--model-args={key}"
    )


def _has_weights(source: Source) -> bool:
    return bool(weight_files(source.folder()))


def _contains_tower(source: Source) -> bool:
    """Whether the names of the weights, which stand before them, speak of a vision tower."""
    folder = source.folder()
    files = [*weight_files(folder), folder / TRAINED_BESIDE]
    return any(_TOWER in header(path) for path in files if path.is_file())

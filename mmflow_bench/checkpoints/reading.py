"""Weights, configuration and processor from files: transformers' own format, or the original one.

Everything that would load to something else than what was trained is refused here: weights that
are missing and would be drawn at random, layers that would be left out, pickled code.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeAlias

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)

from mmflow_bench.checkpoints.adapters import merge_adapter
from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.families.known import family_of
from mmflow_bench.checkpoints.fitting import (
    refuse_code_from_elsewhere,
    refuse_endless,
    refuse_oversized,
    weights_on_disk,
)
from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.ingredients import Ingredients, config_of, ingredients_of
from mmflow_bench.checkpoints.original import load_original
from mmflow_bench.checkpoints.placement import is_placed, load_placed
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

AutoModel: TypeAlias = type[AutoModelForImageTextToText] | type[AutoModelForCausalLM]

_COMPLETE = "check that the folder is complete and of a model that the installed transformers knows"
# Buffers that older versions saved are computed anew, and no weights.
_IN_A_LAYER = re.compile(r"\.layers\.\d+\.(?!.*(inv_freq|masked_bias)$)")


def read_model(spec: CheckpointSpec) -> tuple[PreTrainedModel, Processor]:
    """Model and processor of a folder or hub checkpoint, or a CheckpointError."""
    parts = ingredients_of(spec)
    if parts.adapter is not None and is_placed(spec):
        raise CheckpointError(
            "an adapter on weights that are loaded as a whole, got it with device_map or "
            f"quantization (checkpoint {spec.name}); merge it and save the model first"
        )
    where = f"checkpoint {spec.name}"
    with foreign("a checkpoint that transformers can load", where, _COMPLETE), _no_pickles(spec):
        if parts.is_original:
            model, processor, report = load_original(spec, parts)
        else:
            model, processor, report = _from_pretrained(spec, parts)
    _refuse_incomplete(spec, report)
    return model, processor


@contextmanager
def _no_pickles(spec: CheckpointSpec) -> Iterator[None]:
    try:
        yield
    except UnpicklingError as error:
        raise CheckpointError(
            f"weights and nothing else, got pickled code ({spec.name}); save them as safetensors"
        ) from error


def _from_pretrained(
    spec: CheckpointSpec, parts: Ingredients
) -> tuple[PreTrainedModel, Processor, Json]:
    """Model, processor and transformers' report of what was loaded."""
    source = parts.weights
    where: Json = {
        "trust_remote_code": spec.trust_remote_code,
        "local_files_only": not source.is_fetched,
    }
    if source.is_hub:
        # The commit, so that weights, processor and fingerprint are of one moment.
        where["revision"] = source.commit(spec.gguf_file or "config.json")
    if spec.gguf_file is not None:
        where["gguf_file"] = spec.gguf_file
    if spec.trust_remote_code:
        refuse_code_from_elsewhere(source)
    files = weights_on_disk(source, spec.gguf_file)
    raw = config_of(source) or {}
    refuse_endless(raw, files)
    described = partial(AutoConfig.from_pretrained, source.name, **where)
    if spec.gguf_file is not None:
        # Its header takes transformers longer to read than a trial may last: read it once.
        described = partial(copy.copy, described())
    _refuse_oversized(described, raw, files, spec)
    config = described()
    has_image, auto_model = _kind(config)
    auto_processor = AutoProcessor if has_image else AutoTokenizer
    # Reading the tokenizer first makes a folder without one fail before the weights are read.
    own = family_of(config).processor
    if own is not None:
        processor = own(source, config, where)
    else:
        processor = auto_processor.from_pretrained(source.name, config=config, **where)
    model, report = load_placed(
        auto_model.from_pretrained,
        source.name,
        spec,
        config=config,
        dtype=_dtype(spec),
        weights_only=True,
        **where,
    )
    if parts.adapter is not None:
        merge_adapter(model, parts.adapter.folder())
    return model, processor, report


def _kind(config: PretrainedConfig) -> tuple[bool, AutoModel]:
    """Whether a model takes images, and what loads it."""
    has_image = getattr(config, "vision_config", None) is not None
    return has_image, AutoModelForImageTextToText if has_image else AutoModelForCausalLM


def _refuse_oversized(
    described: Callable[[], PretrainedConfig],
    raw: Json,
    files: Sequence[Path],
    spec: CheckpointSpec,
) -> None:
    """Refuse a configuration that the files of weights cannot be of, by a CheckpointError."""
    # Imported here: what the child that builds the model imports is lost with it.
    with suppress(KeyError):
        of_type = CONFIG_MAPPING[str(raw.get("model_type"))]
        for kind in (AutoModelForImageTextToText, AutoModelForCausalLM):
            kind._model_mapping.get(of_type, None)

    def build() -> PreTrainedModel:
        config = described()
        trust = {"trust_remote_code": True} if spec.trust_remote_code else {}
        model: PreTrainedModel = _kind(config)[1].from_config(config, **trust)
        return model

    # Where there are none, transformers says which ones it has looked for.
    if files:
        refuse_oversized(build, spec, held=sum(path.stat().st_size for path in files), of="bytes")


def _dtype(spec: CheckpointSpec) -> torch.dtype | str:
    # GGUF weights are dequantised on loading, in single precision unless told otherwise.
    if spec.dtype == "auto":
        return torch.float32 if spec.gguf_file is not None else "auto"
    dtype: torch.dtype = getattr(torch, spec.dtype)
    return dtype


def _refuse_incomplete(spec: CheckpointSpec, report: Json) -> None:
    """Refuse weights that were drawn at random for want of others, and layers left out."""
    missing = sorted(map(str, report.get("missing_keys", ())))
    mismatched = sorted(str(key[0]) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        names = [*missing, *mismatched]
        raise CheckpointError(
            f"weights for every parameter, got none of the right shape for {len(names)} of them, "
            f"such as {', '.join(names[:3])} (checkpoint {spec.name}); they would be random "
            "numbers, so save the whole model"
        )
    left_out = sorted(
        name for name in map(str, report.get("unexpected_keys", ())) if _IN_A_LAYER.search(name)
    )
    if left_out:
        raise CheckpointError(
            f"a layer for every weight, got {len(left_out)} weights without one, such as "
            f"{', '.join(left_out[:3])} (checkpoint {spec.name}); config.json does not describe "
            "these weights"
        )

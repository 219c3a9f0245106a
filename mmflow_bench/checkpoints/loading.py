"""The only place where weights are read: a spec in, a model in evaluation mode out.

Everything that would load to something else than what was trained is refused here: weights that
are missing and would be drawn at random, tokenizers without offsets, pickled code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)

from mmflow_bench.checkpoints.families import Family, family_of
from mmflow_bench.checkpoints.fingerprint import fingerprint, hub_commit
from mmflow_bench.checkpoints.hardware import spare_threads
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

PLAIN_TEMPLATE = "plain"
"""The value of `CheckpointSpec.template` that ignores a checkpoint's own chat template."""

# What transformers, safetensors, gguf and torch raise on files that are missing, cut short or of
# another model.
_LOADING_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    ImportError,
    SafetensorError,
    TemplateError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCheckpoint:
    """A model that is ready to be measured, with everything that turns samples into its input."""

    spec: CheckpointSpec
    model: PreTrainedModel
    """In evaluation mode, without gradients, on `device`."""
    processor: Any
    """The multimodal processor, or the tokenizer again for a text-only checkpoint."""
    tokenizer: PreTrainedTokenizerBase
    """A fast one: positions are found through its offsets."""
    family: Family
    fingerprint: str
    chat_template: str | None
    """The jinja text that prompts are rendered with; the plain form when None."""
    conversation: str | None = None
    """Name of the conversation template of the paper's input; None where the checkpoint's own
    processor prepares samples."""

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def decoder_layers(self) -> int:
        """Depth of the decoder."""
        return len(self.family.decoder_layers)


def load_checkpoint(spec: CheckpointSpec) -> LoadedCheckpoint:
    """The model and processor of a spec, in evaluation mode.

    The attention implementation stays what transformers chooses for the checkpoint; the engine
    switches it for the passes that it instruments.

    Raises:
        CheckpointError: Files are missing or of another model, weights are incomplete, the
            tokenizer has no offsets, or the architecture is not one that can be instrumented.
    """
    with _bars_only_on_a_terminal():
        model, processor = _built(spec) if spec.kind == "built" else _from_pretrained(spec)
    return assemble_checkpoint(model, processor, spec=spec)


def assemble_checkpoint(
    model: PreTrainedModel, processor: Any, *, spec: CheckpointSpec, identity: str | None = None
) -> LoadedCheckpoint:
    """A model and processor that are in memory already, made ready to be measured.

    Args:
        model: Any model that `family_of` understands.
        processor: Its processor, or its tokenizer if it takes no images.
        spec: Device, precision and template are taken from it.
        identity: The content hash, if it is known; computed from the spec otherwise.

    Raises:
        CheckpointError: The tokenizer has no offsets, the model cannot be instrumented, the
            processor does not fit the model or the template cannot be read.
    """
    model.to(spec.device)  # type: ignore[arg-type]
    model.eval()
    model.requires_grad_(False)
    family = family_of(model)
    spare_threads(model.device.type, model.config.get_text_config().hidden_size)
    tokenizer = _fast_tokenizer(processor, spec)
    if family.has_image and not hasattr(processor, "image_processor"):
        raise CheckpointError(
            f"a processor with an image processor, got {type(processor).__name__} (checkpoint "
            f"{spec.name}); save the checkpoint's processor next to its weights"
        )
    return LoadedCheckpoint(
        spec=spec,
        model=model,
        processor=processor,
        tokenizer=tokenizer,
        family=family,
        fingerprint=identity or fingerprint(spec),
        chat_template=_chat_template(processor, tokenizer, spec),
        conversation=spec.conversation if spec.input == "paper" else None,
    )


@contextmanager
def _bars_only_on_a_terminal() -> Iterator[None]:
    """Keep transformers' progress bars out of logs, as this package's own are."""
    if sys.stderr.isatty() or not is_progress_bar_enabled():
        yield
        return
    disable_progress_bar()
    try:
        # The bar of GGUF files knows no switch.
        with redirect_stderr(StringIO()):
            yield
    finally:
        enable_progress_bar()


def _built(spec: CheckpointSpec) -> tuple[PreTrainedModel, Any]:
    assert spec.builder is not None
    module, _, function = spec.builder.partition(":")
    model, processor = getattr(importlib.import_module(module), function)(spec.source)
    if spec.dtype != "auto":
        model = model.to(getattr(torch, spec.dtype))
    return model, processor


def _from_pretrained(spec: CheckpointSpec) -> tuple[PreTrainedModel, Any]:
    where: dict[str, Any] = {
        "trust_remote_code": spec.trust_remote_code,
        "local_files_only": spec.offline or spec.kind == "folder",
    }
    if spec.kind == "hub":
        # The commit, so that weights, processor and fingerprint are of one moment.
        where["revision"] = hub_commit(spec)
    if spec.gguf_file is not None:
        where["gguf_file"] = spec.gguf_file
    try:
        config = AutoConfig.from_pretrained(spec.source, **where)
        has_image = getattr(config, "vision_config", None) is not None
        auto_model = AutoModelForImageTextToText if has_image else AutoModelForCausalLM
        auto_processor = AutoProcessor if has_image else AutoTokenizer
        # Reading the tokenizer first makes a folder without one fail before the weights are read.
        processor = auto_processor.from_pretrained(spec.source, config=config, **where)
        loaded: Any = auto_model.from_pretrained(
            spec.source,
            config=config,
            dtype=_dtype(spec),
            weights_only=True,
            # Wrong shapes are refused below, by name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **where,
        )
    except UnpicklingError as error:
        raise CheckpointError(
            f"weights and nothing else, got pickled code ({spec.name}); save them as safetensors"
        ) from error
    except _LOADING_ERRORS as error:
        raise _unreadable(spec, error) from error
    model, report = loaded
    _refuse_incomplete(spec, report)
    return model, processor


def _dtype(spec: CheckpointSpec) -> Any:
    # GGUF weights are dequantised on loading, in single precision unless told otherwise.
    if spec.dtype == "auto":
        return torch.float32 if spec.gguf_file is not None else "auto"
    return getattr(torch, spec.dtype)


def _unreadable(spec: CheckpointSpec, error: Exception) -> CheckpointError:
    message = " ".join(str(error).split())
    return CheckpointError(
        f"a checkpoint that transformers can load, got {type(error).__name__}: {message[:400]} "
        f"(checkpoint {spec.name}); check that the folder is complete and of a "
        "model that the installed transformers knows"
    )


def _refuse_incomplete(spec: CheckpointSpec, report: Mapping[str, Any]) -> None:
    """Refuse weights that transformers has drawn at random because the file lacks them."""
    missing = sorted(map(str, report.get("missing_keys", ())))
    mismatched = sorted(str(key[0]) for key in report.get("mismatched_keys", ()))
    if missing or mismatched:
        names = [*missing, *mismatched]
        raise CheckpointError(
            f"weights for every parameter, got none of the right shape for {len(names)} of them, "
            f"such as {', '.join(names[:3])} (checkpoint {spec.name}); they would be random "
            "numbers, so save the whole model"
        )


def _fast_tokenizer(processor: Any, spec: CheckpointSpec) -> PreTrainedTokenizerBase:
    tokenizer = getattr(processor, "tokenizer", processor)
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        raise CheckpointError(
            f"a fast tokenizer, whose offsets say which characters a token covers, got "
            f"{type(tokenizer).__name__} (checkpoint {spec.name}); convert it to a tokenizer.json"
        )
    return tokenizer


def _chat_template(
    processor: Any, tokenizer: PreTrainedTokenizerBase, spec: CheckpointSpec
) -> str | None:
    if spec.template == PLAIN_TEMPLATE:
        return None
    if spec.template is not None:
        return _template_file(Path(spec.template))
    own = getattr(processor, "chat_template", None) or tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    return None if own is None else str(own)


def _template_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"`template=plain` or the path of a jinja chat template, got {str(path)!r} "
            f"({error}); correct --model-args"
        ) from error

"""A spec in, a model in evaluation mode out, with all that turns samples into its input.

What the parts cannot be measured with is refused here: tokenizers without offsets, models of images
without an image processor.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)

from mmflow_bench.checkpoints.aliases import Processor
from mmflow_bench.checkpoints.families.llava_next import read_pinpoints_as_published
from mmflow_bench.checkpoints.families.record import Family
from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.hardware import require_device, spare_threads
from mmflow_bench.checkpoints.parts import Parts, parts_of
from mmflow_bench.checkpoints.placement import is_placed
from mmflow_bench.checkpoints.reading import read_model
from mmflow_bench.checkpoints.sources import refuse_irregular
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

_OF_ONE_MODEL = "check that configuration, weights and processor are of one model"
PLAIN_TEMPLATE = "plain"
"""The value of `CheckpointSpec.template` that ignores a checkpoint's own chat template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCheckpoint:
    """A model that is ready to be measured, with everything that turns samples into its input."""

    spec: CheckpointSpec
    model: PreTrainedModel
    """In evaluation mode and on `device`; without gradients, unless it was in memory already."""
    processor: Processor
    """The multimodal processor, or the tokenizer again for a text-only checkpoint."""
    tokenizer: PreTrainedTokenizerBase
    """A fast one: positions are found through its offsets."""
    parts: Parts
    """What measurements and interventions use of the model."""
    fingerprint: str
    chat_template: str | None
    """The jinja text that prompts are rendered with; the plain form when None."""
    conversation: str | None = None
    """Name of the conversation template of the paper's input; None where the checkpoint's own
    processor prepares samples."""
    image_aspect_ratio: str | None = None
    """How the paper's input fits photos into the vision tower: `pad` to a square, `square` or None
    for resize and crop, `anyres` or `anyres_max_N` for tiles."""

    @property
    def device(self) -> torch.device:
        return self.parts.device

    @property
    def decoder_layers(self) -> int:
        return len(self.parts.decoder_layers)


def load_checkpoint(spec: CheckpointSpec) -> LoadedCheckpoint:
    """The model and processor of a spec, in evaluation mode.

    The attention implementation stays what transformers chooses for the checkpoint; the engine
    switches it for the passes that it instruments.

    Raises:
        CheckpointError: Files are missing or of another model, weights are incomplete, the
            tokenizer has no offsets, or the architecture is not one that can be instrumented.
    """
    require_device(spec.device)
    where = f"checkpoint {spec.name}"
    with foreign("a checkpoint that can be put together", where, _OF_ONE_MODEL):
        with _bars_only_on_a_terminal():
            model, processor = _built(spec) if spec.kind == "built" else read_model(spec)
        return assemble_checkpoint(model, processor, spec=spec)


def assemble_checkpoint(
    model: PreTrainedModel,
    processor: Processor,
    *,
    spec: CheckpointSpec,
    identity: str | None = None,
) -> LoadedCheckpoint:
    """A model and processor that are in memory already, made ready to be measured.

    Args:
        model: Any model that `parts_of` understands.
        processor: Its processor, or its tokenizer if it takes no images.
        spec: Device, precision and template are taken from it.
        identity: The content hash, if it is known; computed from the spec otherwise.

    Raises:
        CheckpointError: The tokenizer has no offsets, the model cannot be instrumented, the
            processor does not fit the model or the template cannot be read.
    """
    # What accelerate or bitsandbytes has placed must not be moved.
    if spec.kind != "memory" and not is_placed(spec):
        model.to(spec.device)  # type: ignore[arg-type]
    model.eval()
    if spec.kind != "memory":
        # Whoever has it in memory may be training it.
        model.requires_grad_(False)
    parts = parts_of(model)
    spare_threads(parts.device.type, model.config.get_text_config().hidden_size)
    tokenizer = _fast_tokenizer(processor, spec)
    if parts.has_image and not hasattr(processor, "image_processor"):
        raise CheckpointError(
            f"a processor with an image processor, got {type(processor).__name__} (checkpoint "
            f"{spec.name}); save the checkpoint's processor next to its weights"
        )
    loaded = LoadedCheckpoint(
        spec=spec,
        model=model,
        processor=processor,
        tokenizer=tokenizer,
        parts=parts,
        fingerprint=identity or fingerprint(spec),
        chat_template=_chat_template(processor, tokenizer, spec),
        conversation=spec.conversation if spec.input == "paper" else None,
        image_aspect_ratio=_image_aspect_ratio(model.config, parts.family),
    )
    if loaded.conversation is not None:
        read_pinpoints_as_published(model, processor)
    return loaded


def _image_aspect_ratio(config: PretrainedConfig, family: Family) -> str | None:
    """As the configuration says (original or OneVision's), or as the family was trained."""
    for key in ("image_aspect_ratio", "vision_aspect_ratio"):
        if hasattr(config, key):
            own = getattr(config, key)
            return None if own is None else str(own)
    return family.aspect_ratio


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


def _built(spec: CheckpointSpec) -> tuple[PreTrainedModel, Processor]:
    assert spec.builder is not None
    module, _, function = spec.builder.partition(":")
    model, processor = getattr(importlib.import_module(module), function)(spec.source)
    if spec.dtype != "auto":
        model = model.to(getattr(torch, spec.dtype))
    return model, processor


def _fast_tokenizer(processor: Processor, spec: CheckpointSpec) -> PreTrainedTokenizerBase:
    tokenizer = getattr(processor, "tokenizer", processor)
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or not tokenizer.is_fast:
        raise CheckpointError(
            f"a fast tokenizer, whose offsets say which characters a token covers, got "
            f"{type(tokenizer).__name__} (checkpoint {spec.name}); convert it to a tokenizer.json"
        )
    return tokenizer


def _chat_template(
    processor: Processor, tokenizer: PreTrainedTokenizerBase, spec: CheckpointSpec
) -> str | None:
    if spec.template == PLAIN_TEMPLATE:
        return None
    if spec.template is not None:
        try:
            refuse_irregular(Path(spec.template))
            return Path(spec.template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"`template=plain` or the path of a jinja chat template, got {spec.template!r} "
                f"({error}); correct --model-args"
            ) from error
    own = getattr(processor, "chat_template", None) or tokenizer.chat_template
    if isinstance(own, dict):
        own = own.get("default")
    return None if own is None else str(own)

"""Where the parts of a language model live, found by structure and never by a model's name.

The engine needs the embedding, the decoder layers, the norm after them, the projection to the
vocabulary, the text configuration, and the token that stands for image features. Transformers
names them alike in nearly every checkpoint, so a checkpoint is read by what it has and refused by
what it lacks; where a family keeps them elsewhere, its record says so.

Parts may compute on different devices, and accelerate may keep their weights elsewhere until they
are called: modules are always called, never read, and inputs go to `execution_device`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from mmflow_bench.checkpoints.families.known import family_of
from mmflow_bench.checkpoints.families.record import Family
from mmflow_bench.errors import CheckpointError

Unembedding = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one loaded model that measurements and interventions use."""

    name: str
    """Model types as transformers names them: `llava/llama`, or `llama` alone."""
    decoder: nn.Module
    """The text model whose forward calls the decoder layers."""
    embedding: nn.Module
    """Token ids -> vectors."""
    decoder_layers: tuple[nn.Module, ...]
    final_norm: nn.Module
    unembedding: Unembedding
    """Residual stream -> float32 logits, as the model itself computes them."""
    text_config: PretrainedConfig
    image_token_id: int | None
    """The token whose positions carry image features; None without a vision tower."""
    places_images: bool
    """Whether the model itself computes positions, from the grids of the images: several numbers
    for each (M-RoPE)."""
    family: Family
    """What is known of this kind of checkpoint."""
    projector: nn.Module | None = None
    """Turns features of the vision tower into image positions; None where none is found."""

    @property
    def device(self) -> torch.device:
        """Where the model takes its inputs."""
        return execution_device(self.embedding)

    @property
    def has_image(self) -> bool:
        return self.image_token_id is not None


@runtime_checkable
class Instrumentable(Protocol):
    """What the engine needs of a loaded checkpoint: the model and its parts."""

    @property
    def model(self) -> PreTrainedModel:
        """The top-level model, in evaluation mode."""

    @property
    def parts(self) -> Parts:
        """Its parts."""


def parts_of(model: PreTrainedModel) -> Parts:
    """The parts of `model`; a CheckpointError names the one that it lacks."""
    family = family_of(model.config)
    decoder = model.get_decoder()
    kind = type(decoder).__name__
    layers = _at(decoder, family.layers)
    final_norm = _at(decoder, family.final_norm)
    projector = _at(model.base_model, family.projector)
    output = model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    if not isinstance(layers, nn.ModuleList) or len(layers) == 0:
        raise _missing(model, f"decoder layers under `.{family.layers}` of {kind}")
    if not isinstance(final_norm, nn.Module):
        raise _missing(model, f"a final norm under `.{family.final_norm}` of {kind}")
    if not isinstance(output, nn.Module):
        raise _missing(model, "an output projection (`get_output_embeddings`)")
    if not isinstance(embedding, nn.Module):
        raise _missing(model, "a token embedding (`get_input_embeddings`)")
    text_config = model.config.get_text_config(decoder=True)
    types = [model.config.model_type, text_config.model_type]
    return Parts(
        name="/".join(dict.fromkeys(str(name) for name in types)),
        decoder=decoder,
        embedding=embedding,
        decoder_layers=tuple(layers[: text_config.num_hidden_layers]),
        final_norm=final_norm,
        unembedding=_unembedding(model, output, final_norm, text_config),
        text_config=text_config,
        image_token_id=_image_token_id(model.config, family),
        places_images=any(hasattr(module, "get_rope_index") for module in model.modules()),
        family=family,
        projector=projector if isinstance(projector, nn.Module) else None,
    )


_MODULES: Mapping[str, tuple[str, ...]] = {
    "attention": ("self_attn", "attention", "attn"),
    "mlp": ("mlp", "feed_forward", "block_sparse_moe"),
    "query": ("q_proj",),
    "output": ("o_proj", "out_proj", "dense"),
}
"""What decoder layers call their two modules, and attention two of its projections."""


def module_of(module: nn.Module, kind: str) -> nn.Module:
    """The attention or the MLP of a decoder layer, or a projection of its attention.

    Raises:
        CheckpointError: It has none under a known name.
    """
    for name in _MODULES[kind]:
        found = getattr(module, name, None)
        if isinstance(found, nn.Module):
            return found
    raise CheckpointError(
        f"decoder layers with {kind} under one of {', '.join(_MODULES[kind])}, got "
        f"{type(module).__name__} without; modules of this kind of decoder cannot be skipped"
    )


def execution_device(module: nn.Module) -> torch.device:
    """Where a module computes, which for offloaded weights is not where they are kept."""
    for part in module.modules():
        # accelerate's hook knows where a module will compute; its weights may be elsewhere.
        hook = getattr(part, "_hf_hook", None)
        for single in getattr(hook, "hooks", (hook,)):
            device = getattr(single, "execution_device", None)
            if device is not None:
                return torch.device(device)
    parameter = next(module.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _at(module: nn.Module, place: str) -> object:
    """What a dotted name leads to; None if there is nothing."""
    found: object = module
    for name in place.split("."):
        found = getattr(found, name, None)
    return found


def _missing(model: PreTrainedModel, part: str) -> CheckpointError:
    return CheckpointError(
        f"a causal language model or a LLaVA-type model, got {type(model).__name__} without "
        f"{part}; load a checkpoint with a causal decoder and a language-model head"
    )


def _image_token_id(config: PretrainedConfig, family: Family) -> int | None:
    if getattr(config, "vision_config", None) is None:
        return None
    for name in family.image_token_keys:
        token_id = getattr(config, name, None)
        if token_id is not None:
            return int(token_id)
    return None


def _unembedding(
    model: PreTrainedModel, output: nn.Module, final_norm: nn.Module, config: PretrainedConfig
) -> Unembedding:
    """The projection to logits, with the cap that the model applies to its own logits, if any."""
    dtype = output.weight.dtype
    # Quantised weights are whole numbers, but are multiplied with what the model computes in.
    dtype = dtype if isinstance(dtype, torch.dtype) and dtype.is_floating_point else model.dtype

    def plain(hidden: Float[Tensor, "*position hidden"]) -> Float[Tensor, "*position vocab"]:
        logits: Tensor = output(hidden.to(device=execution_device(output), dtype=dtype))
        return logits.to(hidden.device).float()

    cap = getattr(config, "final_logit_softcapping", None)
    if cap is None:
        return plain

    def capped(hidden: Float[Tensor, "*position hidden"]) -> Float[Tensor, "*position vocab"]:
        logits: Tensor = torch.tanh(plain(hidden) / cap) * cap
        return logits

    # A text configuration may name a cap that the model wrapped around it never applies
    # (Gemma 2 under LLaVA), so the model's own logits decide.
    return capped if _caps_logits(model, final_norm, plain, cap) else plain


@torch.no_grad()
def _caps_logits(
    model: PreTrainedModel, final_norm: nn.Module, plain: Unembedding, cap: float
) -> bool:
    """Whether the model's logits stay below `cap` when the head is driven far beyond it."""

    def drive(_: nn.Module, __: object, state: Tensor) -> Tensor:
        return state * (4 * cap / plain(state).abs().max().clamp(min=1e-6)).to(state.dtype)

    hook = final_norm.register_forward_hook(drive)
    try:
        tokens = torch.tensor([[1, 2]], device=execution_device(model.get_input_embeddings()))
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    finally:
        hook.remove()
    return float(logits.abs().max()) < 2 * cap

"""What a knockout is, computed the plain way: one full forward pass each, no cache, no batch.

This path exists to be believed rather than to be fast. A masked knockout edits the additive mask
that the model itself hands to its layers; the other two methods replace the attention function by
full attention matrices. Apart from `masks.py` it shares no arithmetic with the fast path, which is
tested against it and checked against it on every checkpoint that is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function, attention_implementation
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.masks import without_edges


@torch.inference_mode()
def definition_logits(
    checkpoint: Instrumentable,
    inputs: Mapping[str, Tensor],
    knockout: Knockout,
    *,
    method: Method = Method.MASKED,
    counterfactual: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, "vocab"]:
    """Logits of the last position under one knockout.

    Args:
        checkpoint: The loaded checkpoint.
        inputs: What `model(**inputs)` takes, batch axis 1, without padding.
        knockout: What to cut.
        method: What cutting means.
        counterfactual: Inputs of the sample that values come from, for that method.

    Raises:
        KnockoutError: The knockout leaves a query without keys, or its inputs do not fit.
    """
    length = inputs["input_ids" if "input_ids" in inputs else "inputs_embeds"].shape[1]
    knockout.check(length=length, layers=len(checkpoint.parts.decoder_layers))
    if method is Method.MASKED:
        return _masked(checkpoint, inputs, knockout)
    donor = None
    if method is Method.COUNTERFACTUAL:
        if counterfactual is None:
            raise KnockoutError(
                "the inputs of a counterfactual sample, got none (method counterfactual); give "
                "the same question with another image"
            )
        donor = _values(checkpoint, counterfactual)
    attention = _WeightKnockout(knockout, donor)
    with attention_function(checkpoint.parts.decoder, attention.attend, with_masks=True):
        return _logits(checkpoint, inputs)


def _values(checkpoint: Instrumentable, inputs: Mapping[str, Tensor]) -> dict[int, Tensor]:
    """Every layer's values in an undisturbed forward pass."""
    nothing = Knockout(sources=(), targets=(), layers=range(0))
    attention = _WeightKnockout(nothing, None)
    with attention_function(checkpoint.parts.decoder, attention.attend, with_masks=True):
        _logits(checkpoint, inputs)
    return attention.values


def _logits(checkpoint: Instrumentable, inputs: Mapping[str, Tensor]) -> Float[Tensor, "vocab"]:
    device = checkpoint.parts.device
    moved = {name: value.to(device) for name, value in inputs.items()}
    if "pixel_values" in moved:
        moved["pixel_values"] = moved["pixel_values"].to(checkpoint.model.dtype)
    logits: Tensor = checkpoint.model(**moved, use_cache=False).logits
    return logits[0, -1].to(device).float()


def _masked(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor], knockout: Knockout
) -> Float[Tensor, "vocab"]:
    """Eager attention, since only there every layer gets an additive 4-D mask to edit."""
    parts = checkpoint.parts
    with attention_implementation(parts.decoder, "eager"):
        handles = [
            parts.decoder_layers[layer].register_forward_pre_hook(
                _mask_editor(knockout), with_kwargs=True
            )
            for layer in knockout.layers
        ]
        try:
            return _logits(checkpoint, inputs)
        finally:
            for handle in handles:
                handle.remove()


def _mask_editor(knockout: Knockout) -> Callable[..., object]:
    def before(
        layer: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        mask = keywords.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.dim() != 4 or not mask.is_floating_point():
            raise KnockoutError(
                f"an additive 4-D mask given to the layer by name, got {type(mask).__name__} "
                f"({type(layer).__name__}); this kind of decoder cannot be measured"
            )
        blocked = torch.finfo(mask.dtype).min
        left = without_edges(
            mask[0, 0] > blocked, sources=knockout.sources, targets=knockout.targets
        )
        edited = mask.masked_fill(~left, blocked)
        return arguments, {**keywords, "attention_mask": edited}

    return before


class _WeightKnockout:
    """Attention by full matrices, with edges cut after the softmax."""

    def __init__(self, knockout: Knockout, donor: Mapping[int, Tensor] | None) -> None:
        """Cut the knockout's edges; with a donor, its values are read through them instead."""
        self.knockout = knockout
        self.donor = donor
        self.values: dict[int, Tensor] = {}

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        scaling: float,
        softcap: float | None = None,
        **_: object,
    ) -> tuple[Tensor, None]:
        """One layer's attention, as a loop over heads."""
        layer = _layer_of(module)
        self.values[layer] = value
        group = query.shape[1] // key.shape[1]
        heads = []
        for head in range(query.shape[1]):
            scores = query[0, head] @ key[0, head // group].T * scaling
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            weights = torch.softmax(scores.float() + attention_mask[0, 0].float(), dim=-1)
            weights = weights.to(value.dtype)
            own = value[0, head // group]
            if layer in self.knockout.layers:
                heads.append(self._read(weights, own, layer, head // group))
            else:
                heads.append(weights @ own)
        return torch.stack(heads, dim=1)[None], None

    def _read(
        self, weights: Float[Tensor, "query key"], own: Tensor, layer: int, kv_head: int
    ) -> Float[Tensor, "query dim"]:
        targets, sources = list(self.knockout.targets), list(self.knockout.sources)
        cut = torch.zeros_like(weights)
        for target in targets:
            cut[target, sources] = weights[target, sources]
        kept = weights - cut
        if self.donor is None:
            return kept @ own
        other = self.donor[layer][0, kv_head]
        if sources and max(sources) >= other.shape[0]:
            raise KnockoutError(
                "a counterfactual sample that reaches as far as the sources, got "
                f"{other.shape[0]} positions for source {max(sources)}; use the same question "
                "with another image of the same size"
            )
        return kept @ own + cut[:, sources] @ other[sources]


def _layer_of(module: nn.Module) -> int:
    layer = getattr(module, "layer_idx", None)
    if not isinstance(layer, int):
        raise KnockoutError(
            f"attention modules that know their layer, got {type(module).__name__} without "
            "`layer_idx`; this kind of decoder cannot be measured"
        )
    return layer

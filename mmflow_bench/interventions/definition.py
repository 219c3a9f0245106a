"""What a knockout is, computed the plain way: one full forward pass each, no cache, no batch.

This path exists to be believed rather than to be fast. A masked knockout edits the additive mask
that the model itself hands to its layers; the other two methods replace the attention function by
full attention matrices. Apart from `masks.py` it shares no arithmetic with the fast path, which is
tested against it and checked against it on every checkpoint that is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

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

    `inputs` is what `model(**inputs)` takes, batch axis 1, without padding; `counterfactual` is the
    same of the sample that values come from, for that method.

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
        undisturbed = _WeightKnockout(Knockout(sources=(), targets=(), layers=range(0)), None)
        _attending(checkpoint, undisturbed, counterfactual)
        donor = undisturbed.values
        knockout.check_donor(donor[0].shape[-2])
    return _attending(checkpoint, _WeightKnockout(knockout, donor), inputs)


def _attending(
    checkpoint: Instrumentable, attention: _WeightKnockout, inputs: Mapping[str, Tensor]
) -> Float[Tensor, "vocab"]:
    with attention_function(checkpoint.parts.decoder, attention.attend, with_masks=True):
        return _logits(checkpoint, inputs)


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
    parts, editor = checkpoint.parts, _mask_editor(knockout)
    with attention_implementation(parts.decoder, "eager"), ExitStack() as hooks:
        for layer in parts.decoder_layers[knockout.layers.start : knockout.layers.stop]:
            hooks.enter_context(layer.register_forward_pre_hook(editor, with_kwargs=True))
        return _logits(checkpoint, inputs)


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


@dataclass(frozen=True)
class _WeightKnockout:
    """Attention by full matrices, with edges cut after the softmax."""

    knockout: Knockout
    donor: Mapping[int, Tensor] | None
    """Whose values are read through the cut edges instead, by layer."""
    values: dict[int, Tensor] = field(default_factory=dict)
    """Of every layer that has attended."""

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
            is_cut = layer in self.knockout.layers
            read = self._read(weights, own, layer, head // group) if is_cut else weights @ own
            heads.append(read)
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
        return kept @ own + cut[:, sources] @ self.donor[layer][0, kv_head, sources]


def _layer_of(module: nn.Module) -> int:
    layer = getattr(module, "layer_idx", None)
    if not isinstance(layer, int):
        raise KnockoutError(
            f"attention modules that know their layer, got {type(module).__name__} without "
            "`layer_idx`; this kind of decoder cannot be measured"
        )
    return layer

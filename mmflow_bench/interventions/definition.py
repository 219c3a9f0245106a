"""What an intervention is, computed the plain way: one full forward pass each, no cache, no batch.

This path exists to be believed rather than to be fast. A masked knockout edits the additive mask
that the model itself hands to its layers; the other two methods replace the attention function by
full attention matrices; a skipped module is one whose output is overwritten. Apart from `masks.py`
it shares no arithmetic with the fast path, which is tested against it and checked against it on
every checkpoint that is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable, module_of
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function, attention_implementation
from mmflow_bench.interventions.clean import norm_hook
from mmflow_bench.interventions.knockout import Intervention, Knockout, Method, Skip
from mmflow_bench.interventions.masks import without_edges


@torch.inference_mode()
def definition_logits(
    checkpoint: Instrumentable,
    inputs: Mapping[str, Tensor],
    knockout: Intervention,
    *,
    method: Method = Method.MASKED,
    counterfactual: Mapping[str, Tensor] | None = None,
) -> Float[Tensor, "vocab"]:
    """Logits of the last position under one knockout or other intervention.

    `inputs` is what `model(**inputs)` takes, batch axis 1, without padding; `counterfactual` is the
    same of the sample that values come from, for that method.

    Raises:
        KnockoutError: The knockout leaves a query without keys, or its inputs do not fit.
    """
    length = inputs["input_ids" if "input_ids" in inputs else "inputs_embeds"].shape[1]
    config = checkpoint.parts.text_config
    layers, heads = len(checkpoint.parts.decoder_layers), int(config.num_attention_heads)
    knockout.check(length=length, layers=layers, heads=heads)
    cuts = [part for part in knockout.parts if isinstance(part, Knockout)]
    with ExitStack() as hooks:
        for part in knockout.parts:
            if isinstance(part, Skip):
                _skip(checkpoint, part, hooks)
        if method is Method.MASKED:
            return _masked(checkpoint, inputs, cuts)
        donor = None
        if method is Method.COUNTERFACTUAL:
            if counterfactual is None:
                raise KnockoutError(
                    "the inputs of a counterfactual sample, got none (method counterfactual); give "
                    "the same question with another image"
                )
            undisturbed = _WeightKnockout([], None)
            _attending(checkpoint, undisturbed, counterfactual)
            donor = undisturbed.values
            for cut in cuts:
                cut.check_donor(donor[0].shape[-2])
        return _attending(checkpoint, _WeightKnockout(cuts, donor), inputs)


@torch.inference_mode()
def definition_states(
    checkpoint: Instrumentable,
    inputs: Mapping[str, Tensor],
    knockout: Intervention,
    *,
    positions: Sequence[int],
) -> Float[Tensor, "position hidden"]:
    """Final hidden states of `positions` after the final norm, by the masked method.

    Arguments and errors are those of `definition_logits`.
    """
    kept: list[Tensor] = []
    with norm_hook(checkpoint.parts, lambda _, normed: kept.append(normed[0, list(positions)])):
        definition_logits(checkpoint, inputs, knockout)
    return kept[-1]


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


def _skip(checkpoint: Instrumentable, skip: Skip, hooks: ExitStack) -> None:
    def after(_: nn.Module, __: object, given: Tensor | tuple[Any, ...]) -> object:
        output = (given if isinstance(given, Tensor) else given[0]).clone()
        output.view(-1, output.shape[-1])[list(skip.positions)] = 0
        return output if isinstance(given, Tensor) else (output, *given[1:])

    for layer in skip.layers:
        module = module_of(checkpoint.parts.decoder_layers[layer], skip.module)
        hooks.enter_context(module.register_forward_hook(after))


def _masked(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor], cuts: Sequence[Knockout]
) -> Float[Tensor, "vocab"]:
    """Eager attention, since only there every layer gets an additive 4-D mask to edit."""
    parts = checkpoint.parts
    heads = int(parts.text_config.num_attention_heads)
    with attention_implementation(parts.decoder, "eager"), ExitStack() as hooks:
        for cut in cuts:
            editor = _mask_editor(cut, heads)
            for layer in parts.decoder_layers[cut.layers.start : cut.layers.stop]:
                hooks.enter_context(layer.register_forward_pre_hook(editor, with_kwargs=True))
        return _logits(checkpoint, inputs)


def _mask_editor(knockout: Knockout, heads: int) -> Callable[..., object]:
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
        edited = mask.expand(-1, heads, -1, -1).clone()
        for head in range(heads) if knockout.heads is None else knockout.heads:
            left = without_edges(
                edited[0, head] > blocked,
                sources=knockout.sources,
                targets=knockout.targets,
                spares_self=knockout.spares_self,
            )
            edited[0, head].masked_fill_(~left, blocked)
        return arguments, {**keywords, "attention_mask": edited}

    return before


@dataclass(frozen=True)
class _WeightKnockout:
    """Attention by full matrices, with edges cut after the softmax."""

    cuts: Sequence[Knockout]
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
        layer = getattr(module, "layer_idx", None)
        if not isinstance(layer, int):
            raise KnockoutError(
                f"attention modules that know their layer, got {type(module).__name__} without "
                "`layer_idx`; this kind of decoder cannot be measured"
            )
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
            cuts = [
                cut
                for cut in self.cuts
                if layer in cut.layers and (cut.heads is None or head in cut.heads)
            ]
            heads.append(self._read(cuts, weights, own, layer, head // group))
        return torch.stack(heads, dim=1)[None], None

    def _read(
        self,
        cuts: Sequence[Knockout],
        weights: Float[Tensor, "query key"],
        own: Tensor,
        layer: int,
        kv_head: int,
    ) -> Float[Tensor, "query dim"]:
        lost = torch.zeros_like(weights)
        for cut in cuts:
            for target in cut.targets:
                spared = {target} if cut.spares_self else set()
                sources = [source for source in cut.sources if source not in spared]
                lost[target, sources] = weights[target, sources]
        read = (weights - lost) @ own
        if self.donor is not None and cuts:
            donated = list(cuts[0].sources)
            read = read + lost[:, donated] @ self.donor[layer][0, kv_head, donated]
        return read

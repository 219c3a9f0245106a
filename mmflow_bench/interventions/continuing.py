"""Knocked-out sequences continued token by token, each with tokens of its own.

A suffix pass leaves keys and values of every knockout (`suffixes.See`); what comes after the prompt
reads those, and is cut off the same sources in the same layers. One pass gives the next token of
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.interventions.attention import attention_function, check_arguments
from mmflow_bench.interventions.clean import last_logits, layer_hooks
from mmflow_bench.interventions.knockout import Intervention, Knockout
from mmflow_bench.interventions.recording import CleanPass, plain_attention


@dataclass
class SuffixStates:
    """Keys and values of the suffixes of some knockouts: what `knockout_logits` lets be seen."""

    start: int = 0
    """First position of the suffixes."""
    _of: dict[tuple[Intervention, int], tuple[Tensor, Tensor]] = field(default_factory=dict)

    def see(
        self,
        layer: int,
        start: int,
        knockouts: Sequence[Intervention],
        keys: Float[Tensor, "knockout kv_head position dim"],
        values: Float[Tensor, "knockout kv_head position dim"],
    ) -> None:
        """Keep those of one layer; the same knockout seen again, after a shortage, counts anew."""
        self.start = start
        for knockout, key, value in zip(knockouts, keys, values, strict=True):
            self._of[knockout, layer] = key, value

    def have(self, knockout: Knockout) -> bool:
        """Whether a knockout went through a suffix pass; one that cuts nothing does not."""
        return (knockout, 0) in self._of

    def at(self, layer: int, knockouts: Sequence[Knockout]) -> tuple[Tensor, Tensor]:
        """Keys and values of some knockouts at a layer, as (knockout, kv_head, position, dim)."""
        keys, values = zip(*(self._of[one, layer] for one in knockouts), strict=True)
        return torch.stack(keys), torch.stack(values)


class Continuation:
    """Several masked knockouts of one prompt, whose cuts hold for all that is generated too."""

    def __init__(
        self,
        checkpoint: Instrumentable,
        clean: CleanPass,
        knockouts: Sequence[Knockout],
        states: SuffixStates,
    ) -> None:
        """Begin at the end of the prompt.

        Args:
            checkpoint: Whose passes the others are.
            clean: The pass of the prompt.
            knockouts: Of the masked method, with keys and values in `states`.
            states: What their suffix pass has left.
        """
        self._checkpoint, self._clean, self._knockouts = checkpoint, clean, knockouts
        self._layer = -1
        self._tokens = 0
        start, layers = states.start, range(len(clean.keys))
        self._grown = {layer: list(states.at(layer, knockouts)) for layer in layers}
        self._prefix = {
            layer: (clean.keys[layer][:, :start], clean.values[layer][:, :start])
            for layer in layers
        }
        self._is_source = torch.zeros(len(knockouts), clean.length, dtype=torch.bool)
        for row, knockout in enumerate(knockouts):
            self._is_source[row, list(knockout.sources)] = True

    @torch.inference_mode()
    def logits(self, tokens: Sequence[int]) -> Float[Tensor, "knockout vocab"]:
        """Logits after one more token of each knockout."""
        parts, count = self._checkpoint.parts, len(self._knockouts)
        self._tokens += 1
        # With positions counted by rows and columns of images, the end is not the length.
        places = self._clean.positions[..., None, -1:] + self._tokens
        inputs = {
            "input_ids": torch.tensor(tokens)[:, None],
            "position_ids": places.expand(*places.shape[:-2], count, 1),
        }
        with (
            attention_function(parts.decoder, self._attend, with_masks=False),
            layer_hooks(parts, self._enter),
        ):
            return last_logits(self._checkpoint, inputs)

    def _enter(self, layer: int, _: Tensor) -> None:
        self._layer = layer

    def _attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        _: Tensor | None,
        scaling: float | None = None,
        softcap: float | None = None,
        sliding_window: int | None = None,
        **arguments: object,
    ) -> tuple[Tensor, None]:
        """One query for each knockout over the shared prefix, its own suffix and its own answer."""
        check_arguments(module, query, key, arguments)
        grown = self._grown[self._layer]
        for i, new in enumerate((key, value)):
            grown[i] = torch.cat([grown[i], new], dim=2)
        keys, values = (
            torch.cat([shared.expand(len(own), -1, -1, -1), own], dim=2)
            for shared, own in zip(self._prefix[self._layer], grown, strict=True)
        )
        mask = self._mask(keys.shape[2], sliding_window).to(query.device)
        additive = torch.zeros(mask.shape, dtype=query.dtype, device=query.device)
        additive.masked_fill_(mask, -torch.inf)
        return plain_attention(query, keys, values, additive, scaling, softcap), None

    def _mask(self, length: int, window: int | None) -> Tensor:
        """What is hidden from the newest position, as (knockout, 1, 1, key)."""
        is_cut = torch.tensor([self._layer in one.layers for one in self._knockouts])
        hidden = torch.zeros(len(self._knockouts), length, dtype=torch.bool)
        hidden[:, : self._clean.length] = self._is_source & is_cut[:, None]
        if window is not None:
            hidden[:, : max(0, length - window)] = True
        return hidden[:, None, None]

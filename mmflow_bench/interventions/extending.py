"""A clean pass that goes on with more tokens: only they are computed, over what it has kept.

Teacher-forced answers are measured so: the prompt, and behind it the tokens that the model itself
has answered with (docs/decisions/041).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function
from mmflow_bench.interventions.clean import layer_hooks, norm_hook
from mmflow_bench.interventions.recording import CleanPass, plain_attention


def cache_of(clean: CleanPass) -> DynamicCache:
    """The keys and values of a clean pass as a model takes them."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(clean.keys, clean.values, strict=True)):
        cache.update(keys[None], values[None], layer)
    return cache


def keeping(model: nn.Module, cache: Cache) -> dict[str, Cache]:
    """A cache as the argument of a model, under the name that it has there.

    transformers calls it `cache` by now and warns of `past_key_values`, which is all that its
    older releases and the code of some checkpoints know.
    """
    names = inspect.signature(type(model).forward).parameters
    return {"cache" if "cache" in names else "past_key_values": cache}


@torch.inference_mode()
def extended(checkpoint: Instrumentable, clean: CleanPass, tokens: Sequence[int]) -> CleanPass:
    """The clean pass of a sequence that goes on with `tokens`, which are words and no image.

    What was clean before stays what it was: no position sees a later one.

    Raises:
        KnockoutError: There are no tokens, or the decoder attends otherwise than in its clean pass.
    """
    if not tokens:
        raise KnockoutError("tokens to go on with, got none; the clean pass is what it is")
    device, count = checkpoint.parts.device, len(tokens)
    # With positions counted by rows and columns of images, the end is not the length.
    steps = torch.arange(1, count + 1, device=clean.positions.device)
    positions = clean.positions[..., -1:] + steps
    recording = _Extension(clean, count)
    with (
        attention_function(checkpoint.parts.decoder, recording.attend, with_masks=True),
        layer_hooks(checkpoint.parts, recording.enter_layer),
        norm_hook(checkpoint.parts, recording.finish),
    ):
        output = checkpoint.model(
            input_ids=torch.tensor([list(tokens)], device=device),
            position_ids=positions[..., None, :].to(device),
            attention_mask=torch.ones(1, clean.length + count, dtype=torch.long, device=device),
            **keeping(checkpoint.model, cache_of(clean)),
            use_cache=True,
        )
    return recording.extended(
        logits=output.logits[0, -1].to(clean.logits.device).float(),
        positions=torch.cat([clean.positions, positions], dim=-1),
    )


@dataclass
class _Extension:
    """What the pass of the further tokens leaves behind."""

    clean: CleanPass
    count: int
    """Of further tokens."""
    embeddings: Tensor | None = None
    residuals: list[Float[Tensor, "hidden"]] = field(default_factory=list)
    final: Tensor | None = None
    keys: list[Float[Tensor, "kv_head position dim"]] = field(default_factory=list)
    values: list[Float[Tensor, "kv_head position dim"]] = field(default_factory=list)
    visible: list[Bool[Tensor, "query key"]] = field(default_factory=list)

    def enter_layer(self, layer: int, hidden: Float[Tensor, "1 further hidden"]) -> None:
        if layer == 0:
            self.embeddings = hidden[0]
        self.residuals.append(hidden[0, -1].clone())

    def finish(
        self, hidden: Float[Tensor, "1 further hidden"], normed: Float[Tensor, "1 further hidden"]
    ) -> None:
        self.final = hidden[0, -1].clone()
        self.residuals.append(normed[0, -1].clone())

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        **arguments: object,
    ) -> tuple[Tensor, None]:
        """Plain attention over everything so far, that keeps keys, values and the mask."""
        length = self.clean.length + self.count
        if attention_mask is None or key.shape[2] != length:
            raise KnockoutError(
                f"attention of {self.count} further positions over all {length}, got "
                f"{key.shape[2]} keys ({type(module).__name__}); answers of several tokens of this "
                "kind of decoder cannot be measured"
            )
        self.keys.append(key[0])
        self.values.append(value[0])
        # Written once: the mask of these rows alone, as the model itself has made it.
        self.visible.append(attention_mask[0, 0, -self.count :, :length] == 0)
        softcap = arguments.get("softcap")
        return plain_attention(query, key, value, attention_mask, scaling, softcap), None

    def extended(self, *, logits: Tensor, positions: Tensor) -> CleanPass:
        """The whole sequence, where the clean pass keeps what is its own."""
        assert self.embeddings is not None
        assert self.final is not None
        home = self.clean.embeddings.device
        return CleanPass(
            logits=logits,
            residuals=torch.stack([residual.to(home) for residual in self.residuals]),
            final_residual=self.final.to(home),
            embeddings=torch.cat([self.clean.embeddings, self.embeddings.to(home)]),
            massive=self.clean.massive,
            entering=self.clean.entering,
            positions=positions,
            keys=tuple(self.keys),
            values=tuple(self.values),
            visible=self._visible(home),
        )

    def _visible(self, home: torch.device) -> tuple[Bool[Tensor, "query key"], ...]:
        """The mask of every layer; layers of one kind share a tensor, as in the clean pass."""
        known: dict[int, Tensor] = {}
        for before, rows in zip(self.clean.visible, self.visible, strict=True):
            if id(before) not in known:
                unseen = before.new_zeros(self.clean.length, self.count)
                known[id(before)] = torch.cat([torch.cat([before, unseen], 1), rows.to(home)])
        return tuple(known[id(before)] for before in self.clean.visible)

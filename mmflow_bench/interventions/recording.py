"""What one forward pass leaves behind when every layer's attention is computed here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Parts
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import check_arguments
from mmflow_bench.interventions.massive import massive_like_the_first


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPass:
    """One sample's forward pass without any knockout."""

    logits: Float[Tensor, "vocab"]
    """Of the last position, float32, as the model gives them."""
    residuals: Float[Tensor, "depth hidden"]
    """Residual stream of the last position: the embedding, the output of every layer but the last,
    and the last layer's output after the final norm (as transformers' `hidden_states`)."""
    final_residual: Float[Tensor, "hidden"]
    """The last layer's output before the final norm."""
    embeddings: Float[Tensor, "position hidden"]
    """What enters the first decoder layer, image features included."""
    massive: Float[Tensor, "prompt_position"]
    """How massive every position of the prompt is, in the middle of the decoder, where the first
    one is massive; float32."""
    entering: Mapping[int, Float[Tensor, "prompt_position hidden"]]
    """Residual stream of every position of the prompt where it enters the layers asked for."""
    positions: Int[Tensor, "*axis position"]
    """What the decoder took for the place of every position; several axes for families whose
    rotary embedding knows rows and columns of an image."""
    keys: tuple[Float[Tensor, "kv_head position dim"], ...]
    """Of every layer and position, rotated; sliding windows drop nothing."""
    values: tuple[Float[Tensor, "kv_head position dim"], ...]
    visible: tuple[Bool[Tensor, "query key"], ...]
    """The model's own mask by layer; layers of one kind share one tensor. All are where the
    embeddings are; keys and values are each where their layer computes."""

    @property
    def length(self) -> int:
        """Positions in the sequence."""
        return self.embeddings.shape[0]


@dataclass
class Recording:
    """What one forward pass of a batch leaves behind."""

    parts: Parts
    keeps: Collection[int] = ()
    """Layers whose entering states are kept."""
    entering: dict[int, Tensor] = field(default_factory=dict)
    residuals: list[Float[Tensor, "row hidden"]] = field(default_factory=list)
    embeddings: Tensor | None = None
    middle: Tensor | None = None
    """What enters the layer in the middle of the decoder."""
    positions: Tensor | None = None
    """As the decoder was given them; None where it counted by itself."""
    final: Tensor | None = None
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    masks: list[Tensor] = field(default_factory=list)
    _room: dict[torch.Size, Tensor] = field(default_factory=dict)
    """For what is kept of the layers that are to come, by shape."""
    _causal: dict[int, bool] = field(default_factory=dict)
    _visible: dict[tuple[int, int], Bool[Tensor, "query key"]] = field(default_factory=dict)

    def see_positions(self, positions: Int[Tensor, "*axis row position"]) -> None:
        self.positions = positions

    def enter_layer(self, layer: int, hidden: Float[Tensor, "row position hidden"]) -> None:
        """Keep the residual stream; see that the layers before attended once each."""
        if len(self.keys) != layer:
            raise self._incomplete()
        if layer == 0:
            self.embeddings = hidden
        if layer == len(self.parts.decoder_layers) // 2:
            self.middle = hidden
        if layer in self.keeps:
            self.entering[layer] = hidden
        self.residuals.append(self._put_away(hidden[:, -1]))

    def finish(
        self,
        hidden: Float[Tensor, "row position hidden"],
        normed: Float[Tensor, "row position hidden"],
    ) -> None:
        """Keep the residual stream before and after the final norm."""
        self.final = self._put_away(hidden[:, -1])
        self.residuals.append(self._put_away(normed[:, -1]))

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
        """Plain attention that keeps keys, values and the mask."""
        check_arguments(module, query, key, arguments)
        if attention_mask is None:
            raise KnockoutError(
                f"an additive attention mask, got none ({type(module).__name__}); this kind of "
                "decoder cannot be measured"
            )
        self.keys.append(self._put_away(key))
        self.values.append(self._put_away(value))
        self.masks.append(attention_mask)
        softcap = arguments.get("softcap")
        is_causal = softcap is None and self._is_causal(attention_mask)
        mask = None if is_causal else attention_mask
        return plain_attention(query, key, value, mask, scaling, softcap), None

    def _put_away(self, state: Tensor) -> Tensor:
        """A state by itself; on a processor, in one block with those of the other layers.

        Kept where they are made, they would lie between all that a pass gives back, and its memory
        could not be used for anything else. A block takes memory as it is written to.
        """
        if state.device.type != "cpu":
            is_alone = state.untyped_storage().nbytes() <= state.nbytes
            return state if is_alone else state.clone()
        block = self._room.get(state.shape)
        if block is None or not len(block):
            block = state.new_empty(2 * len(self.parts.decoder_layers) + 2, *state.shape)
        self._room[state.shape] = block[1:]
        return block[0].copy_(state)

    def _is_causal(self, mask: Tensor) -> bool:
        """Whether every position of every sample sees those up to itself, which needs no mask."""
        if id(mask) not in self._causal:
            causal = torch.ones(mask.shape[-2:], dtype=torch.bool, device=mask.device).tril()
            self._causal[id(mask)] = bool(((mask == 0) == causal).all())
        return self._causal[id(mask)]

    def check_complete(self) -> None:
        """Refuse a decoder some of whose layers did not attend, or attended twice."""
        complete = len(self.keys) == len(self.parts.decoder_layers) and self.final is not None
        if not complete or len(self.residuals) != len(self.keys) + 1:
            raise self._incomplete()

    def _incomplete(self) -> KnockoutError:
        layers = len(self.parts.decoder_layers)
        return KnockoutError(
            f"{layers} decoder layers that attend exactly once each, got {len(self.keys)} calls "
            f"of attention in {len(self.residuals)} layers (family {self.parts.name}); this "
            "kind of decoder cannot be measured"
        )

    def sample(self, index: int, padding: int, logits: Float[Tensor, "vocab"]) -> CleanPass:
        """The part of one sample, without its padding."""
        assert self.embeddings is not None
        assert self.middle is not None
        assert self.final is not None
        embeddings = self.embeddings[index, padding:]
        home = embeddings.device
        return CleanPass(
            logits=logits,
            residuals=torch.stack([residual[index].to(home) for residual in self.residuals]),
            final_residual=self.final[index].to(home),
            embeddings=embeddings,
            massive=massive_like_the_first(self.middle[index, padding:]).to(home),
            entering={
                layer: hidden[index, padding:].to(home) for layer, hidden in self.entering.items()
            },
            positions=self._positions(index, padding).to(home),
            keys=tuple(key[index, :, padding:] for key in self.keys),
            values=tuple(value[index, :, padding:] for value in self.values),
            visible=tuple(self._edges(mask, index, padding) for mask in self.masks),
        )

    def _positions(self, index: int, padding: int) -> Int[Tensor, "*axis position"]:
        assert self.embeddings is not None
        if self.positions is None:
            return torch.arange(self.embeddings.shape[1] - padding)
        rows = self.positions.shape[-2]
        return self.positions[..., min(index, rows - 1), padding:]

    def _edges(self, mask: Tensor, index: int, padding: int) -> Bool[Tensor, "query key"]:
        """The boolean mask of one sample; computed once for all layers that share it."""
        if (id(mask), index) not in self._visible:
            assert self.embeddings is not None
            own = mask[min(index, mask.shape[0] - 1), 0, padding:, padding:]
            visible = own == 0
            if not bool((visible | (own <= torch.finfo(own.dtype).min / 2)).all()):
                raise KnockoutError(
                    "an attention mask that shows or hides, got one with other biases (family "
                    f"{self.parts.name}); this kind of decoder cannot be measured"
                )
            self._visible[id(mask), index] = self._known(visible.to(self.embeddings.device), index)
        return self._visible[id(mask), index]

    def _known(self, visible: Bool[Tensor, "query key"], index: int) -> Bool[Tensor, "query key"]:
        # Every device has a copy of a mask; one is enough to know what it shows.
        for (_, other), seen in self._visible.items():
            if other == index and torch.equal(seen, visible):
                return seen
        return visible


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: object,
) -> Float[Tensor, "row query head dim"]:
    """What queries read, by the kernel that suits.

    No `mask` is a causal one, with no `softcap`, the bound of scores.
    """
    if softcap is None:
        read = nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=True,
        )
    else:
        assert isinstance(softcap, float)
        assert mask is not None
        read = _capped_attention(query, key, value, mask, scaling, softcap)
    return read.transpose(1, 2).contiguous()


def _capped_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None, softcap: float
) -> Tensor:
    """Attention whose scores are squeezed into +-`softcap`, which fused kernels lack."""
    group = query.shape[1] // key.shape[1]
    key, value = (state.repeat_interleave(group, dim=1) for state in (key, value))
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.tanh(query @ key.transpose(2, 3) * (factor / softcap)) * softcap + mask
    weights = scores.softmax(dim=-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value

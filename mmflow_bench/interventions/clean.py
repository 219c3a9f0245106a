"""The undisturbed pass of a sample, and everything of it that knockouts start from.

A causal decoder lets a knockout whose targets start at one position change nothing before that
position, so the keys and values of one clean pass serve every knockout of the sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mmflow_bench.checkpoints.families import Family, Instrumentable
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function, check_arguments

# Model inputs with one entry per token; everything else belongs to the images.
PER_TOKEN = ("token_type_ids", "mm_token_type_ids")


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


@torch.inference_mode()
def clean_passes(
    checkpoint: Instrumentable, batch: Sequence[Mapping[str, Tensor]]
) -> list[CleanPass]:
    """The clean pass of every sample; several go through the model together, padded on the left.

    Args:
        checkpoint: The loaded checkpoint.
        batch: What `model(**inputs)` takes, one sample each, batch axis 1; images must agree in
            shape. A single sample may bring `inputs_embeds` instead of `input_ids`.

    Raises:
        KnockoutError: A layer cannot be recorded, or the inputs carry padding of their own.
    """
    lengths = [_sequence(inputs).shape[1] for inputs in batch]
    inputs, padding = _stacked(checkpoint, batch, lengths)
    recording = _Recording(checkpoint.family)
    with (
        attention_function(checkpoint.family.decoder, recording.attend, with_masks=True),
        layer_hooks(checkpoint.family, recording.enter_layer),
        _position_hook(checkpoint.family, recording),
        _norm_hook(checkpoint.family, recording),
    ):
        logits = last_logits(checkpoint, inputs)
    recording.check_complete()
    return [recording.sample(index, offset, logits[index]) for index, offset in enumerate(padding)]


def last_logits(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor]
) -> Float[Tensor, "row vocab"]:
    """The top-level model's logits at the last position, in float32, where its inputs go."""
    model, device = checkpoint.model, checkpoint.family.device
    moved = {name: value.to(device) for name, value in inputs.items()}
    if "pixel_values" in moved:
        moved["pixel_values"] = moved["pixel_values"].to(model.dtype)
    # Logits of every position of a large vocabulary would outweigh all else in memory.
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits = model(**moved, use_cache=False, logits_to_keep=1).logits
    else:
        logits = model(**moved, use_cache=False).logits
    last: Tensor = logits[:, -1].to(device).float()
    return last


@contextmanager
def layer_hooks(family: Family, enter: Callable[[int, Tensor], Tensor | None]) -> Iterator[None]:
    """`enter(layer, hidden)` is called before every decoder layer and may replace `hidden`."""

    def hook(layer: int) -> Callable[..., object]:
        def before(_: nn.Module, arguments: tuple[Tensor, ...]) -> object:
            if not arguments or arguments[0].dim() != 3:
                raise KnockoutError(
                    "decoder layers that take hidden states of shape (row, position, hidden) "
                    f"first, got other arguments (layer {layer}); this kind of decoder cannot be "
                    "measured"
                )
            replaced = enter(layer, arguments[0])
            return None if replaced is None else (replaced, *arguments[1:])

        return before

    handles = []
    try:
        for layer, module in enumerate(family.decoder_layers):
            handles.append(module.register_forward_pre_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _sequence(inputs: Mapping[str, Tensor]) -> Tensor:
    return inputs["inputs_embeds"] if "inputs_embeds" in inputs else inputs["input_ids"]


def _stacked(
    checkpoint: Instrumentable, batch: Sequence[Mapping[str, Tensor]], lengths: Sequence[int]
) -> tuple[dict[str, Tensor], list[int]]:
    """One set of model inputs, and how many padding positions precede each sample."""
    for inputs in batch:
        mask = inputs.get("attention_mask")
        if mask is not None and not bool(mask.bool().all()):
            raise KnockoutError(
                "samples without padding, got an `attention_mask` with zeros; give each sample "
                "alone, they are padded together here"
            )
    padding = [max(lengths) - length for length in lengths]
    filler = 1 if checkpoint.family.image_token_id == 0 else 0
    stacked = {
        name: torch.cat(
            [
                _padded(name, inputs[name], count, filler)
                for inputs, count in zip(batch, padding, strict=True)
            ]
        )
        for name in batch[0]
        if name != "attention_mask"
    }
    if any(padding):
        attention = torch.ones(len(batch), max(lengths), dtype=torch.long)
        for row, count in enumerate(padding):
            attention[row, :count] = 0
        stacked["attention_mask"] = attention
        if not checkpoint.family.places_images:
            stacked["position_ids"] = (attention.cumsum(dim=1) - 1).clamp(min=0)
    return stacked, padding


def _padded(name: str, value: Tensor, count: int, filler: int) -> Tensor:
    if name == "input_ids":
        return nn.functional.pad(value, (count, 0), value=filler)
    if name in PER_TOKEN:
        return nn.functional.pad(value, (count, 0))
    return value


@contextmanager
def _position_hook(family: Family, recording: _Recording) -> Iterator[None]:
    signature = inspect.signature(family.decoder.forward)

    def before(_: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
        given = signature.bind(*arguments, **keywords).arguments
        positions = given.get("position_ids")
        if isinstance(positions, Tensor):
            recording.positions = positions

    handle = family.decoder.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _norm_hook(family: Family, recording: _Recording) -> Iterator[None]:
    def after(_: nn.Module, arguments: tuple[Tensor, ...], normed: Tensor) -> None:
        recording.finish(arguments[0], normed)

    handle = family.final_norm.register_forward_hook(after)
    try:
        yield
    finally:
        handle.remove()


class _Recording:
    """What one forward pass of a batch leaves behind."""

    def __init__(self, family: Family) -> None:
        """Start empty."""
        self.family = family
        self.residuals: list[Float[Tensor, "row hidden"]] = []
        self.embeddings: Tensor | None = None
        self.positions: Tensor | None = None
        """As the decoder was given them; None where it counted by itself."""
        self.final: Tensor | None = None
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.masks: list[Tensor] = []
        self._visible: dict[tuple[int, int], Bool[Tensor, "query key"]] = {}

    def enter_layer(self, layer: int, hidden: Float[Tensor, "row position hidden"]) -> None:
        """Keep the residual stream; see that the layers before attended once each."""
        if len(self.keys) != layer:
            raise self._incomplete()
        if layer == 0:
            self.embeddings = hidden
        self.residuals.append(hidden[:, -1])

    def finish(
        self,
        hidden: Float[Tensor, "row position hidden"],
        normed: Float[Tensor, "row position hidden"],
    ) -> None:
        """Keep the residual stream before and after the final norm."""
        self.final = hidden[:, -1]
        self.residuals.append(normed[:, -1])

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
        self.keys.append(key)
        self.values.append(value)
        self.masks.append(attention_mask)
        softcap = arguments.get("softcap")
        if softcap is None:
            read = nn.functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attention_mask, scale=scaling, enable_gqa=True
            )
        else:
            assert isinstance(softcap, float)
            read = _capped_attention(query, key, value, attention_mask, scaling, softcap)
        return read.transpose(1, 2).contiguous(), None

    def check_complete(self) -> None:
        """Refuse a decoder some of whose layers did not attend, or attended twice."""
        complete = len(self.keys) == len(self.family.decoder_layers) and self.final is not None
        if not complete or len(self.residuals) != len(self.keys) + 1:
            raise self._incomplete()

    def _incomplete(self) -> KnockoutError:
        layers = len(self.family.decoder_layers)
        return KnockoutError(
            f"{layers} decoder layers that attend exactly once each, got {len(self.keys)} calls "
            f"of attention in {len(self.residuals)} layers (family {self.family.name}); this "
            "kind of decoder cannot be measured"
        )

    def sample(self, index: int, padding: int, logits: Float[Tensor, "vocab"]) -> CleanPass:
        """The part of one sample, without its padding."""
        assert self.embeddings is not None
        assert self.final is not None
        embeddings = self.embeddings[index, padding:]
        home = embeddings.device
        return CleanPass(
            logits=logits,
            residuals=torch.stack([residual[index].to(home) for residual in self.residuals]),
            final_residual=self.final[index].to(home),
            embeddings=embeddings,
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
                    f"{self.family.name}); this kind of decoder cannot be measured"
                )
            self._visible[id(mask), index] = self._known(visible.to(self.embeddings.device), index)
        return self._visible[id(mask), index]

    def _known(self, visible: Bool[Tensor, "query key"], index: int) -> Bool[Tensor, "query key"]:
        """The equal mask of an earlier layer: on every device there is a copy."""
        for (_, other), seen in self._visible.items():
            if other == index and torch.equal(seen, visible):
                return seen
        return visible


def _capped_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    scaling: float | None,
    softcap: float,
) -> Tensor:
    """Attention whose scores are squeezed into +-`softcap`, which fused kernels lack."""
    group = query.shape[1] // key.shape[1]
    key, value = (state.repeat_interleave(group, dim=1) for state in (key, value))
    factor = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.tanh(query @ key.transpose(2, 3) * (factor / softcap)) * softcap + mask
    weights = scores.softmax(dim=-1, dtype=torch.float32)
    return weights.to(value.dtype) @ value

"""Positions that leave the sequence at a layer and are not there any more in the layers above.

This is removal as inference would do it (arXiv:2411.18620, App. F): hidden states, position
embeddings, masks, keys and values of the layers above are those of the other positions, each of
which keeps its place. The numbers are those of a masked knockout of every edge from the positions
that are removed, in these layers; tests hold the two against each other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from mmflow_bench.checkpoints.parts import Instrumentable, Parts
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.clean import position_hook
from mmflow_bench.interventions.extending import keeping
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.recording import CleanPass

_KNOWN = ("attention_mask", "position_ids", "position_embeddings", "cache_position")
"""What decoder layers are told of every position."""

_STATES = ("keys", "values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Positions of a prompt that are gone from a layer on."""

    positions: tuple[int, ...]
    layer: int
    """The first decoder layer without them, 0-based; the layers before it are as ever."""

    def knockout(self, clean: CleanPass) -> Knockout:
        """The masked knockout that gives the same: of every other position that sees them."""
        gone = list(self.positions)
        masks = {id(visible): visible for visible in clean.visible}.values()
        sees = torch.stack([visible[:, gone].any(dim=-1) for visible in masks]).any(dim=0)
        sees[gone] = False
        return Knockout(
            sources=self.positions,
            targets=tuple(sees.nonzero().flatten().tolist()),
            layers=range(self.layer, len(clean.visible)),
        )


class PrunedAnswer:
    """One prompt and its answer, generated while positions of the prompt are removed.

    The cache holds no keys and no values of what is removed.
    """

    def __init__(
        self,
        checkpoint: Instrumentable,
        inputs: Mapping[str, Tensor],
        removals: Collection[Removal] = (),
    ) -> None:
        """Run the prompt; without removals this is generation as it is.

        Args:
            checkpoint: The loaded model.
            inputs: What `model(**inputs)` takes, batch axis 1, without padding.
            removals: What is gone, and from where on.

        Raises:
            KnockoutError: A removal begins at no layer above the first, or takes the last position;
                or the decoder's layers are told more than can be kept in step.
        """
        self._checkpoint = checkpoint
        self._length = inputs["input_ids"].shape[1]
        layers = len(checkpoint.parts.decoder_layers)
        self._remover = _Remover(self._length, _kept(removals, self._length, layers))
        self._cache = DynamicCache()
        self._places: list[Int[Tensor, "*axis 1 position"]] = []
        self._tokens = 0
        with position_hook(checkpoint.parts, self._places.append):
            self.prompt_logits = self._run(inputs)
        """Logits after the prompt, float32."""

    def logits(self, token: int) -> Float[Tensor, "vocab"]:
        """Logits after one more token of the answer."""
        self._tokens += 1
        seen = self._length + self._tokens
        # With positions counted by rows and columns of images, the end is not the length.
        last = self._places[0][..., -1:] if self._places else torch.tensor([[self._length - 1]])
        return self._run(
            {
                "input_ids": torch.tensor([[token]]),
                "position_ids": last + self._tokens,
                "attention_mask": torch.ones(1, seen, dtype=torch.long),
            }
        )

    @property
    def kept(self) -> list[int]:
        """How many positions of the prompt each layer has."""
        return [len(positions) for positions in self._remover.kept]

    @property
    def cache_bytes(self) -> int:
        """Size of all keys and values that are kept."""
        kept = [getattr(one, name, None) for one in self._cache.layers for name in _STATES]
        return sum(state.nbytes for state in kept if isinstance(state, Tensor))

    @torch.inference_mode()
    def _run(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "vocab"]:
        model, device = self._checkpoint.model, self._checkpoint.parts.device
        moved = {name: value.to(device) for name, value in inputs.items()}
        if "pixel_values" in moved:
            moved["pixel_values"] = moved["pixel_values"].to(model.dtype)
        can_choose = "logits_to_keep" in inspect.signature(model.forward).parameters
        kept = {"logits_to_keep": 1} if can_choose else {}
        with self._remover.hooked(self._checkpoint.parts):
            out = model(**moved, **kept, **keeping(model, self._cache), use_cache=True)
        logits: Tensor = out.logits[0, -1].to(device).float()
        return logits


def _kept(removals: Collection[Removal], length: int, layers: int) -> list[tuple[int, ...]]:
    """The positions of the prompt that each layer still has.

    Raises:
        KnockoutError: As `PrunedAnswer`.
    """
    for one in removals:
        if not 1 <= one.layer <= layers:
            raise KnockoutError(
                f"a first layer without the positions from 1 to {layers}, got {one.layer}; what no "
                "layer has is not in the prompt"
            )
        if not all(0 <= position < length - 1 for position in one.positions):
            raise KnockoutError(
                f"positions to remove from 0 to {length - 2}, got {max(one.positions)}; the last "
                "one gives the answer"
            )
    return [
        tuple(
            position
            for position in range(length)
            if not any(layer >= one.layer and position in one.positions for one in removals)
        )
        for layer in range(layers)
    ]


@dataclass
class _Remover:
    """Keeps what the layers are given in step with the positions that they still have."""

    length: int
    """Of the prompt."""
    kept: Sequence[tuple[int, ...]]
    """By layer."""
    passes: int = 0
    """Of which the first is that of the prompt; each of the others has one token of the answer."""
    _indices: dict[tuple[int, ...], Tensor] = field(default_factory=dict)

    @contextmanager
    def hooked(self, parts: Parts) -> Iterator[None]:
        """The model's next pass is without what is removed."""
        with ExitStack() as hooks:
            for layer, module in enumerate(parts.decoder_layers):
                if len(self.kept[layer]) < self.length:
                    hook = self._hook(layer)
                    hooks.enter_context(module.register_forward_pre_hook(hook, with_kwargs=True))
            yield
        self.passes += 1

    def _hook(self, layer: int) -> Callable[..., object]:
        def before(
            module: nn.Module, arguments: tuple[Tensor, ...], keywords: dict[str, object]
        ) -> tuple[tuple[Tensor, ...], dict[str, object]]:
            _refuse_unknown(module, arguments, keywords)
            hidden = arguments[0]
            if self.passes == 0:
                hidden = self._without(hidden, layer)
            told = {name: keywords[name] for name in _KNOWN if name in keywords}
            sliced = self._sliced(told, layer, hidden.device)
            return (hidden, *arguments[1:]), {**keywords, **sliced}

        return before

    def _without(
        self, hidden: Float[Tensor, "1 before hidden"], layer: int
    ) -> Float[Tensor, "1 after hidden"]:
        before, after = self.kept[layer - 1], self.kept[layer]
        if before == after:
            return hidden
        place = {position: i for i, position in enumerate(before)}
        return hidden[:, [place[position] for position in after]]

    def _sliced(
        self, told: Mapping[str, object], layer: int, device: torch.device
    ) -> dict[str, object]:
        """The same for the positions of a layer; a token of the answer has its own row already."""
        kept = torch.tensor(self.kept[layer], device=device)
        columns = torch.cat([kept, self.length + torch.arange(self.passes, device=device)])
        result: dict[str, object] = {}
        for name, value in told.items():
            if name == "attention_mask":
                rows = kept if self.passes == 0 else None
                result[name] = _mask(value, rows, columns)
            elif self.passes == 0 and isinstance(value, Tensor):
                result[name] = value[..., kept.to(value.device)]
            elif self.passes == 0 and isinstance(value, tuple):
                result[name] = tuple(one[..., kept.to(one.device), :] for one in value)
        return result


def _mask(mask: object, rows: Tensor | None, columns: Tensor) -> object:
    if not isinstance(mask, Tensor):
        return mask
    mask = mask[..., columns.to(mask.device)]
    # What has no axis of queries says only which keys are padding.
    return mask if rows is None or mask.dim() < 4 else mask[..., rows.to(mask.device), :]


def _refuse_unknown(
    module: nn.Module, arguments: Sequence[object], keywords: Mapping[str, object]
) -> None:
    unknown = [
        name
        for name, value in keywords.items()
        if name not in _KNOWN and (isinstance(value, Tensor) or name == "hidden_states")
    ]
    if isinstance(keywords.get("attention_mask"), Tensor | None) and not unknown and arguments:
        return
    got = unknown[0] if unknown else "another mask or no hidden states"
    raise KnockoutError(
        "decoder layers that are told masks and places of positions and nothing else of them, got "
        f"{got} ({type(module).__name__}); positions of this kind of decoder cannot be removed"
    )

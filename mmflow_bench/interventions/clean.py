"""The undisturbed pass of a sample, and everything of it that knockouts start from.

A causal decoder lets a knockout whose targets start at one position change nothing before that
position, so the keys and values of one clean pass serve every knockout of the sample.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmflow_bench.checkpoints.parts import Instrumentable, Parts
from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.attention import attention_function
from mmflow_bench.interventions.portions import sparing
from mmflow_bench.interventions.recording import CleanPass, Recording

# Model inputs with one entry per token; everything else belongs to the images.
PER_TOKEN = ("token_type_ids", "mm_token_type_ids")


@torch.inference_mode()
def clean_passes(
    checkpoint: Instrumentable,
    batch: Sequence[Mapping[str, Tensor]],
    *,
    keeps: Collection[int] = (),
) -> list[CleanPass]:
    """The clean pass of every sample; several go through the model together, padded on the left.

    Each of `batch` is what `model(**inputs)` takes for one sample, batch axis 1; images must agree
    in shape. A single sample may bring `inputs_embeds` instead of `input_ids`,
    and `position_ids` that leave places out. Of the layers in `keeps` it is kept what enters them.

    Raises:
        KnockoutError: A layer cannot be recorded, or is not there, or the inputs carry padding of
            their own.
    """
    refuse_outside(checkpoint, keeps)
    inputs, padding = _stacked(checkpoint, batch)
    recording = Recording(checkpoint.parts, keeps)
    with (
        attention_function(checkpoint.parts.decoder, recording.attend, with_masks=True),
        layer_hooks(checkpoint.parts, recording.enter_layer),
        position_hook(checkpoint.parts, recording.see_positions),
        norm_hook(checkpoint.parts, recording.finish),
        sparing(checkpoint.parts, _last_positions, only_last=True),
    ):
        logits = last_logits(checkpoint, inputs)
    recording.check_complete()
    return [recording.sample(index, offset, logits[index]) for index, offset in enumerate(padding)]


def _last_positions(rows: int, positions: int) -> list[int]:
    # Of the last layer's states nothing else is read.
    return [(row + 1) * positions - 1 for row in range(rows)]


def refuse_outside(checkpoint: Instrumentable, layers: Collection[int]) -> None:
    """Refuse layers that a decoder does not have."""
    count = len(checkpoint.parts.decoder_layers)
    outside = [layer for layer in layers if not 0 <= layer < count]
    if outside:
        raise KnockoutError(f"decoder layers in 0..{count - 1}, got {outside[0]}")


def last_logits(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor]
) -> Float[Tensor, "row vocab"]:
    """The top-level model's logits at the last position, in float32, where its inputs go."""
    model, device = checkpoint.model, checkpoint.parts.device
    moved = {name: value.to(device) for name, value in inputs.items()}
    if "pixel_values" in moved:
        moved["pixel_values"] = moved["pixel_values"].to(model.dtype)
    # Logits of every position of a large vocabulary would outweigh all else in memory.
    can_choose = "logits_to_keep" in inspect.signature(model.forward).parameters
    kept = {"logits_to_keep": 1} if can_choose else {}
    with model.get_output_embeddings().register_forward_pre_hook(_without_gaps):
        last: Tensor = model(**moved, **kept, use_cache=False).logits[:, -1].to(device).float()
    return last


def _without_gaps(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # The last position of every row lies apart from that of the next, and the product would be one
    # for each, which reads the whole unembedding every time.
    hidden, *others = arguments
    return (hidden.contiguous(), *others)


def _stacked(
    checkpoint: Instrumentable, batch: Sequence[Mapping[str, Tensor]]
) -> tuple[dict[str, Tensor], list[int]]:
    """One set of model inputs, and how many padding positions precede each sample."""
    if not all(inputs["attention_mask"].all() for inputs in batch if "attention_mask" in inputs):
        raise KnockoutError(
            "samples without padding, got an `attention_mask` with zeros; give each sample "
            "alone, they are padded together here"
        )
    name = "inputs_embeds" if "inputs_embeds" in batch[0] else "input_ids"
    lengths = [inputs[name].shape[1] for inputs in batch]
    padding = [max(lengths) - length for length in lengths]
    filler = 1 if checkpoint.parts.image_token_id == 0 else 0
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
        attention = (torch.arange(max(lengths)) >= torch.tensor(padding)[:, None]).long()
        stacked["attention_mask"] = attention
        if not checkpoint.parts.places_images:
            stacked["position_ids"] = (attention.cumsum(dim=1) - 1).clamp(min=0)
    elif "position_ids" in stacked:
        # Without a mask, a gap between positions would be taken for the start of another sequence.
        stacked["attention_mask"] = torch.ones(len(batch), max(lengths), dtype=torch.long)
    return stacked, padding


def _padded(name: str, value: Tensor, count: int, filler: int) -> Tensor:
    if name == "input_ids":
        return nn.functional.pad(value, (count, 0), value=filler)
    if name in PER_TOKEN:
        return nn.functional.pad(value, (count, 0))
    return value


@contextmanager
def layer_hooks(parts: Parts, enter: Callable[[int, Tensor], Tensor | None]) -> Iterator[None]:
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

    with ExitStack() as hooks:
        for layer, module in enumerate(parts.decoder_layers):
            hooks.enter_context(module.register_forward_pre_hook(hook(layer)))
        yield


def position_hook(parts: Parts, see: Callable[[Tensor], None]) -> RemovableHandle:
    """`see(positions)` is called where the decoder is told the place of every position."""
    signature = inspect.signature(parts.decoder.forward)

    def before(_: nn.Module, arguments: tuple[object, ...], keywords: dict[str, object]) -> None:
        positions = keywords.get("position_ids")
        # Asked of the signature only where it must be: tools that trace a model replace it.
        if positions is None and arguments:
            positions = signature.bind(*arguments, **keywords).arguments.get("position_ids")
        if isinstance(positions, Tensor):
            see(positions)

    return parts.decoder.register_forward_pre_hook(before, with_kwargs=True)


def norm_hook(parts: Parts, see: Callable[[Tensor, Tensor], None]) -> RemovableHandle:
    """`see(hidden, normed)` is called with what enters the final norm and what leaves it."""

    def after(_: nn.Module, arguments: tuple[Tensor, ...], normed: Tensor) -> None:
        see(arguments[0], normed)

    return parts.final_norm.register_forward_hook(after)

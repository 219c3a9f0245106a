"""Where a forward pass can be watched: before the decoder and its layers, after its last norm.

Torch's handles remove their hook when a `with` block ends, however it ends.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmflow_bench.checkpoints.parts import Parts
from mmflow_bench.errors import KnockoutError


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
        positions = signature.bind(*arguments, **keywords).arguments.get("position_ids")
        if isinstance(positions, Tensor):
            see(positions)

    return parts.decoder.register_forward_pre_hook(before, with_kwargs=True)


def norm_hook(parts: Parts, see: Callable[[Tensor, Tensor], None]) -> RemovableHandle:
    """`see(hidden, normed)` is called with what enters the final norm and what leaves it."""

    def after(_: nn.Module, arguments: tuple[Tensor, ...], normed: Tensor) -> None:
        see(arguments[0], normed)

    return parts.final_norm.register_forward_hook(after)

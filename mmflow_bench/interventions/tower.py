"""The norm of the feature that every image position shows, before the projector.

Families crop features, put newlines between them and stretch them after the projector, so which
feature a position shows is not in any index. The norms take the way of the features instead: a pass
in which the projector gives every feature's norm in place of its projection, and that ends where
the first decoder layer begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmflow_bench.checkpoints.parts import Instrumentable
from mmflow_bench.errors import NOT_FINITE, PositionError
from mmflow_bench.interventions.clean import last_logits, layer_hooks

_PARTS = 3
"""Channels that a norm is spread over: half precision rounds one, and not their sum."""
_MARKS = (0, _PARTS + 1)
"""Channels on either side that are 1 in every feature, and alike in nothing else."""


@torch.inference_mode()
def feature_norms(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor], *, sample: str
) -> Float[Tensor, "position"]:
    """L2 norms of what enters the projector, by position of the sequence; NaN where none does.

    A position that several features are merged into has the largest of their norms. Costs the
    tower and no layer of the decoder.

    Args:
        checkpoint: Its vision tower and projector are called.
        inputs: What `model(**inputs)` takes for one sample.
        sample: Its name, for messages.

    Raises:
        PositionError: The family has no projector that is known, or one that mixes features
            (`no-patch-features`), or a norm is not finite (`not-finite`).
    """
    projector = checkpoint.parts.projector
    if projector is None:
        raise _no_features(checkpoint, sample, "none")

    def after(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        norms = _norms_by_row(arguments[0], output, checkpoint.parts.family.merges_neighbours)
        if norms is None:
            raise _no_features(checkpoint, sample, "features mixed by it")
        if not bool(norms.isfinite().all()):
            raise PositionError(
                f"norms of image features that are numbers, got NaN or infinity (sample {sample}); "
                "load the weights with --model-args=dtype=bfloat16 or float32",
                reason=NOT_FINITE,
            )
        return _written(norms, output)

    hook = projector.register_forward_hook(after)
    try:
        states = _entering(checkpoint, inputs)
    finally:
        hook.remove()
    return _read(states[0].float())


class _Entered(Exception):
    """The first decoder layer was reached, with what enters it."""

    def __init__(self, states: Tensor) -> None:
        self.states = states


def _entering(
    checkpoint: Instrumentable, inputs: Mapping[str, Tensor]
) -> Float[Tensor, "row position hidden"]:
    """What enters the first decoder layer; no layer is computed."""

    def enter(_: int, hidden: Tensor) -> None:
        raise _Entered(hidden)

    stop: Callable[[int, Tensor], None] = enter
    with layer_hooks(checkpoint.parts, stop):
        try:
            last_logits(checkpoint, inputs)
        except _Entered as entered:
            return entered.states
    raise AssertionError("a decoder layer is entered in every pass")


def _norms_by_row(features: Tensor, output: Tensor, merges: bool) -> Tensor | None:
    """The norm of each row of `output`; None where it cannot be told what a row is made of."""
    norms: Tensor = features.float().norm(dim=-1)
    rows = output[..., 0].numel()
    if norms.numel() != rows:
        if not merges or norms.numel() % rows:
            return None
        norms = norms.reshape(rows, -1).amax(dim=-1)
    return norms.reshape(output.shape[:-1])


def _written(norms: Tensor, output: Tensor) -> Tensor:
    written = torch.zeros_like(output)
    written[..., _MARKS] = 1.0
    rest = norms
    for channel in range(1, _PARTS + 1):
        written[..., channel] = rest.to(output.dtype)
        rest = rest - written[..., channel].float()
    return written


def _read(states: Float[Tensor, "position hidden"]) -> Float[Tensor, "position"]:
    """Norms of the rows that bear both marks and nothing beside them; scaled where marks are."""
    first, last = (states[:, mark] for mark in _MARKS)
    others = states[:, _MARKS[1] + 1 :]
    is_feature = (first > 0) & (first == last) & (others == 0).all(dim=-1)
    norms: Tensor = states[:, 1 : _PARTS + 1].sum(dim=-1) / first
    return torch.where(is_feature, norms, torch.nan)


def _no_features(checkpoint: Instrumentable, sample: str, got: str) -> PositionError:
    return PositionError(
        f"a projector that takes the features of one image position each, got {got} (family "
        f"{checkpoint.parts.name}, sample {sample}); leave out what needs norms of patches",
        reason="no-patch-features",
    )

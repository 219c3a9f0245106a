"""What a decoder computes and keeps for a prompt and its answer, counted and not timed.

Numbers that no clock and no machine changes, in the usual terms: a multiplication and an addition
for each weight and each position, and for each channel of every pair of positions in attention.
The vision tower, norms and softmax are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import nn

from mmflow_bench.checkpoints.loading import LoadedCheckpoint

_known: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""Weights of layers that were counted: every sample asks again."""


class Costs(NamedTuple):
    """Of one prompt and its answer."""

    operations: int
    """Additions and multiplications."""
    cache_bytes: int
    """Of keys and values, after the last token of the answer."""


def decoder_costs(
    checkpoint: LoadedCheckpoint, kept: Sequence[int], *, answer_tokens: int
) -> Costs:
    """The costs of a prompt of which every layer has `kept` positions, and of its answer.

    Args:
        checkpoint: Whose layers and precision count.
        kept: Positions of the prompt, by layer.
        answer_tokens: Tokens of the answer that are put in again, one by one.
    """
    parts, config = checkpoint.parts, checkpoint.parts.text_config
    heads = int(config.num_attention_heads)
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    width = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    operations = cached = 0
    for layer, count in zip(parts.decoder_layers, kept, strict=True):
        positions = count + answer_tokens
        pairs = positions * (positions + 1) // 2
        # Scores and values: two products for every pair.
        operations += 2 * positions * _weights(layer) + 4 * pairs * heads * width
        cached += 2 * positions * key_heads * width
    vocabulary = int(config.vocab_size) * int(config.hidden_size)
    operations += 2 * (1 + answer_tokens) * vocabulary
    return Costs(operations=operations, cache_bytes=cached * checkpoint.model.dtype.itemsize)


def _weights(layer: nn.Module) -> int:
    """Weights of the linear maps of a layer, however they are stored."""
    if layer not in _known:
        _known[layer] = sum(inner * outer for inner, outer in _sizes(layer))
    return _known[layer]


def _sizes(layer: nn.Module) -> Iterator[tuple[int, int]]:
    for module in layer.modules():
        # What wraps a map, as an adapter does, has the sizes of the map within.
        if not any(module.children()):
            yield getattr(module, "in_features", 0), getattr(module, "out_features", 0)

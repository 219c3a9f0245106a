"""How long a sequence a checkpoint was made for, from its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import PretrainedConfig

_STRETCHED = ("linear", "dynamic")
"""Kinds of position scaling whose configuration keeps the length of before."""


def longest_sequence(config: PretrainedConfig) -> int | None:
    """Positions that the decoder knows, with what scaling adds; None where nothing says."""
    text = config.get_text_config()
    known = getattr(text, "max_position_embeddings", None)
    if not isinstance(known, int) or known <= 0:
        return None
    scaled = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None)
    return max([known, *(_stretched(known, one) for one in _records(scaled))])


def _records(scaled: object) -> Iterator[Mapping[str, Any]]:
    """The record of all layers, or those of each kind of layer."""
    if isinstance(scaled, Mapping):
        yield scaled
        yield from (one for one in scaled.values() if isinstance(one, Mapping))


def _stretched(known: int, scaling: Mapping[str, Any]) -> int:
    factor, before = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    if not isinstance(factor, int | float) or not 1 <= factor < 2**20:
        return known
    kind = scaling.get("rope_type") or scaling.get("type")
    start = known if kind in _STRETCHED else before if isinstance(before, int) else 0
    return int(start * factor)

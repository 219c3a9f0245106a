"""Stages of a planted checkpoint that reads captions where others see an image (paper, App. G)."""

from __future__ import annotations

from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import Gains
from mmflow_bench.planted.residual import dimensions, total


def read_caption(circuit: Circuit, design: Design) -> None:
    """The last position reads what a caption says, an equal part per layer."""
    part = _gains(design).told / len(design.caption_layers)
    pairs = zip(dimensions("captioned"), dimensions(design.landing), strict=True)
    copy = [(word, answer, part) for word, answer in pairs]
    for layer in design.caption_layers:
        circuit.head(layer, match=[(total("last"), total("captioned"))], copy=copy)


def relate_caption(circuit: Circuit, design: Design) -> None:
    """Question tokens read what a caption says, as they read the wallpaper of an image."""
    pairs = zip(dimensions("captioned"), dimensions("context"), strict=True)
    copy = [(word, answer, _gains(design).context) for word, answer in pairs]
    circuit.head(design.context_layer, match=[(total("question"), total("captioned"))], copy=copy)


def _gains(design: Design) -> Gains:
    """Those of any task: words of a caption do not know what is asked."""
    (gains,) = set(design.gains.values())
    return gains

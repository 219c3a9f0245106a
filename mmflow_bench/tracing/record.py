"""What is read off one question about one photo, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

CAUTION = (
    "One sample is no mechanism: what a single question shows may be chance, of this photo or of "
    "its words. `mmflow run` asks many, and says how sure it is."
)
"""Stands beside every trace, wherever it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeCurve:
    """One edge, cut in a window around every layer."""

    edge: str
    relative_change: tuple[float, ...]
    """By the layer in the middle of the window, a fraction; negative is a drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LensCurve:
    """How probable the logit lens makes a word at the last position."""

    word: str
    probability: tuple[float, ...]
    """By depth, the embedding first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of the photo, and what is lost when the question cannot read its patches."""

    left: float
    top: float
    width: float
    height: float
    """Of the photo as it went in, in pixels."""
    patches: int
    """Image positions that show it."""
    relative_change: float
    """When they and their neighbours' are cut off from the question in all layers, a fraction;
    negative is a drop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One question and its answer, traced through a checkpoint."""

    checkpoint: str
    question: str
    prompt: str
    """As it was rendered, the image placeholder not expanded."""
    answer: str
    token: str
    """The first token of the answer, whose probability is followed."""
    probability: float
    layers: int
    window: int
    """Layers that are cut together."""
    edges: tuple[EdgeCurve, ...]
    unmeasured: Mapping[str, str]
    """Edge that was asked for -> why this sample has none."""
    lens: tuple[LensCurve, ...]
    blocks: tuple[Block, ...]
    """Row by row; empty where it is not known what the image positions show."""
    reach: int
    """Blocks to every side that were cut off together with one."""
    without_blocks: str
    """Why there are none; empty where there are."""
    photo: Image.Image | None
    """As it went in; None of a question without one."""

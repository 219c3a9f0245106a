"""Answers generated with and without positions of their prompts, side by side: plain records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.removal import Removed

PlanLayers = Mapping[Removed, int]
"""What is removed -> the first layer without it; where both are given, what is related leaves with
the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One answer and what it took."""

    prediction: str
    is_correct: bool
    seconds: float
    """From the model's inputs to the end of the answer, vision tower included; median of some."""
    operations: int
    """Of the decoder, for the prompt and the tokens that were generated."""
    cache_bytes: int
    """Keys and values that were kept at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanAnswers:
    """What became of some samples when a plan was followed; three tuples of the same order."""

    layers: PlanLayers
    samples: tuple[Sample, ...]
    before: tuple[Generated, ...]
    """With the whole image."""
    after: tuple[Generated, ...]
    unscored: Mapping[str, int]
    """Reason -> samples that the plan could not be followed on."""

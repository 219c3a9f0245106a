"""From which layer on an image can go: chosen on some images, and tried on others.

Layers are tested from the last one down, and the first that is not shown to be safe ends it: a
fixed sequence, in which every test may have the whole error rate (docs/decisions/046).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median

from mmflow_bench.measurements.pruned import Generated, PlanAnswers, PlanLayers
from mmflow_bench.measurements.removal import Removed
from mmflow_bench.mechanisms.removal import RemovalCurve, accuracy_lost
from mmflow_bench.mechanisms.verdicts import Verdict

NONE_SAFE = "no layer is shown to be safe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What removal from one layer on costs and saves, on the images that plans are made of."""

    removed: str
    """`image`, or `unrelated`: all of it, or what shows nothing of the objects asked about."""
    layer: int
    """The first without it."""
    accuracy: float
    lost: float
    """Points of accuracy, as a fraction."""
    at_most: float | None
    """Upper bound of what is lost, one-sided; None where one image says nothing of others."""
    operations_saved: float
    cache_saved: float
    is_safe: bool
    """Whether the loss is shown to be under the margin, here and at every later layer."""
    reason: str
    """Why it is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What answers were and took, over samples."""

    accuracy: float
    seconds: float
    """Median."""
    operations: float
    """Mean."""
    cache_bytes: float
    """Mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A plan, followed on images that it was not made of."""

    layers: dict[str, int]
    """What is removed -> the first layer without it."""
    samples: int
    images: int
    unscored: dict[str, int]
    before: Spent
    after: Spent
    lost: float
    at_most: float | None
    verdict: str
    """`holds` where the loss is shown to be under the margin on these images too, `fails` where it
    is shown not to be."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """All that was found."""

    checkpoint: str
    decoder_layers: int
    device: str
    margin: float
    alpha: float
    repeats: int
    """Times that each answer was timed."""
    samples: int
    images: int
    """That plans are made of."""
    steps: tuple[Step, ...]
    finding: str
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def steps_of(curve: RemovalCurve) -> tuple[Step, ...]:
    """Every first layer, the last first."""
    steps: list[Step] = []
    for layer in reversed(curve.layers[:-1]):
        lost = curve.accuracy_lost(layer)
        tried = lost < curve.margin
        is_safe = tried.verdict is Verdict.HOLDS
        reason = tried.reason or f"loses up to {100 * lost.high:.1f} points"
        if steps and not steps[-1].is_safe:
            is_safe, reason = False, "a later layer is not shown to be safe"
        steps.append(
            Step(
                removed=str(curve.tables[0].removed),
                layer=layer,
                accuracy=curve.accuracy(layer),
                lost=lost.value,
                at_most=_known(lost.high),
                operations_saved=curve.operations_saved(layer).value,
                cache_saved=curve.cache_saved(layer).value,
                is_safe=is_safe,
                reason="" if is_safe else reason,
            )
        )
    return tuple(steps)


def plans_of(steps: Sequence[Step]) -> tuple[PlanLayers, ...]:
    """The plans that are shown to be safe part by part: all of the image, and the unrelated first.

    None where no layer is safe for the whole image; one where the rest cannot go any earlier.
    """
    safe = {
        removed: min(
            (one.layer for one in steps if one.is_safe and one.removed == removed), default=0
        )
        for removed in Removed
    }
    whole, unrelated = safe[Removed.IMAGE], safe[Removed.UNRELATED]
    if not whole:
        return ()
    first: PlanLayers = {Removed.IMAGE: whole}
    if not 0 < unrelated < whole:
        return (first,)
    return first, {Removed.UNRELATED: unrelated, Removed.IMAGE: whole}


def finding_of(plans: Sequence[PlanLayers]) -> str:
    """What the curves have shown, in a sentence."""
    if not plans:
        return NONE_SAFE
    return "; ".join(in_words(layers) for layers in plans)


def in_words(layers: PlanLayers) -> str:
    """A plan as readers want it.

    >>> in_words({Removed.UNRELATED: 5, Removed.IMAGE: 20})
    'what is not related can go from layer 5 on, the rest from layer 20 on'
    """
    if Removed.UNRELATED in layers:
        return (
            f"what is not related can go from layer {layers[Removed.UNRELATED]} on, the rest from "
            f"layer {layers[Removed.IMAGE]} on"
        )
    return f"the image can go from layer {layers[Removed.IMAGE]} on"


def outcome_of(found: PlanAnswers, *, margin: float, alpha: float) -> Outcome | None:
    """What a plan has done to samples; None where it could be followed on none."""
    if not found.samples:
        return None
    images = [sample.image_id for sample in found.samples]
    before, after = ([one.is_correct for one in side] for side in (found.before, found.after))
    lost = accuracy_lost(before, after, images, alpha=alpha)
    tried = lost < margin
    return Outcome(
        layers={str(removed): layer for removed, layer in found.layers.items()},
        samples=len(images),
        images=len(set(images)),
        unscored=dict(found.unscored),
        before=_spent(found.before),
        after=_spent(found.after),
        lost=lost.value,
        at_most=_known(lost.high),
        verdict=str(tried.verdict),
        reason=tried.reason,
    )


def _known(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def _spent(answers: Sequence[Generated]) -> Spent:
    return Spent(
        accuracy=fmean(one.is_correct for one in answers),
        seconds=median(one.seconds for one in answers),
        operations=fmean(one.operations for one in answers),
        cache_bytes=fmean(one.cache_bytes for one in answers),
    )

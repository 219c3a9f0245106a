"""The paths that a checkpoint's answer may come by, and what a run has shown of each.

A path is an edge between image, question and last position, read off all samples of the run that
it was cut on. What is shown, what is undecided and what is shown to be absent is what mechanisms
mean by it: the same curve, the same margin, the same interval over images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.mechanisms.bands import NEGLIGIBLE, least_effect
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.places import drop_of
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.runs.curves import SweptCurves
from mmflow_bench.runs.reading import RunRecord


class Lane(StrEnum):
    """What information stands at."""

    IMAGE = "image"
    QUESTION = "question"
    LAST = "last position"


class State(StrEnum):
    """What a run says of a path."""

    SHOWN = "shown"
    UNDECIDED = "undecided"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One that is drawn, with the two lanes that it joins."""

    name: str
    """As runs name it."""
    source: Lane
    target: Lane
    said: str
    """Where it begins, in words."""
    whole: str = ""
    """The edge that it is a part of."""

    @property
    def is_direct(self) -> bool:
        """Whether it passes the question by."""
        return self.source is Lane.IMAGE and self.target is Lane.LAST

    @property
    def words(self) -> str:
        return f"{self.said} \N{RIGHTWARDS ARROW} {self.target}"


EDGES = (
    Edge(name="image->question", source=Lane.IMAGE, target=Lane.QUESTION, said="image"),
    Edge(
        name="other_patches->question",
        source=Lane.IMAGE,
        target=Lane.QUESTION,
        said="other patches",
        whole="image->question",
    ),
    Edge(
        name="related_patches->question",
        source=Lane.IMAGE,
        target=Lane.QUESTION,
        said="related patches",
        whole="image->question",
    ),
    Edge(name="question->last", source=Lane.QUESTION, target=Lane.LAST, said="question"),
    Edge(name="image->last", source=Lane.IMAGE, target=Lane.LAST, said="image"),
    # Where captions stand in for the image.
    Edge(name="caption->question", source=Lane.IMAGE, target=Lane.QUESTION, said="caption"),
    Edge(name="caption->last", source=Lane.IMAGE, target=Lane.LAST, said="caption"),
)
"""In the order in which they are drawn and said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Layers one after the other in which cutting a path takes from the answer."""

    first: int
    last: int
    peak: int
    """Where it takes most."""
    effect: float
    """Share of the answer's probability that is lost there, a fraction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One edge, and what cutting it does."""

    edge: Edge
    state: State
    stretches: tuple[Stretch, ...]
    """From the first layers to the last; none of a path that is absent."""
    samples: int
    images: int
    tasks: int

    @property
    def strongest(self) -> Stretch | None:
        return max(self.stretches, key=lambda one: one.effect, default=None)

    @property
    def effect(self) -> float:
        """Share of the answer's probability that is lost where it is deepest; 0 without any."""
        return self.strongest.effect if self.strongest else 0.0


def paths_of(record: RunRecord, *, width: int) -> tuple[Path, ...]:
    """Every path that a run has cut in windows of `width` layers; none where it has cut none."""
    return tuple(_paths(record, width))


def _paths(record: RunRecord, width: int) -> Iterator[Path]:
    for edge in EDGES:
        asked = edge.name, Method.MASKED, width
        swept = [one for one in record.sweeps if (one.edge, one.method, one.window) == asked]
        if swept:
            yield _path(edge, swept, record, width)


def _path(edge: Edge, swept: Sequence[SweptCurves], record: RunRecord, width: int) -> Path:
    curve = Curve(
        name=edge.words,
        values=np.concatenate([one.values for one in swept]),
        image_ids=tuple(image for one in swept for image in one.image_ids),
        width=width,
        alpha=record.alpha,
        noise_floor=record.results.noise_floor or 0.0,
    )
    state = _state(curve)
    return Path(
        edge=edge,
        state=state,
        stretches=() if state is State.ABSENT else tuple(_stretches(curve, state)),
        samples=len(curve.image_ids),
        images=len(set(curve.image_ids)),
        tasks=len(swept),
    )


def _state(curve: Curve) -> State:
    """Whether there is a drop beyond what counts as negligible, as mechanisms decide it."""
    verdict = curve.is_present.verdict
    if verdict is Verdict.HOLDS:
        return State.SHOWN
    return State.ABSENT if verdict is Verdict.FAILS else State.UNDECIDED


def _stretches(curve: Curve, state: State) -> Iterator[Stretch]:
    mean = curve.means.mean
    # Of a path that is shown, what is negligible is nothing that a reader should see; of one that
    # is not, noise makes a drop of every other layer.
    least = NEGLIGIBLE if state is State.SHOWN else -float(mean.min()) / 2
    for first, last in _runs(_layers(curve)):
        peak = first + int(mean[first : last + 1].argmin())
        if -mean[peak] >= least:
            effect = min(-float(mean[peak]), 1.0)
            yield Stretch(first=first, last=last, peak=peak, effect=effect)


def _layers(curve: Curve) -> Bool[ndarray, "layer"]:
    """The layers at which the drop is shown; where none is, those at which there may be one."""
    drop = drop_of(
        curve.means,
        list(range(curve.layers)),
        width=curve.width,
        floor=least_effect(curve.noise_floor),
        alpha=curve.alpha,
    )
    return drop.layers


def _runs(layers: Bool[ndarray, "layer"]) -> Iterator[tuple[int, int]]:
    """First and last of layers that follow each other."""
    edges = np.diff(np.concatenate([[False], layers, [False]]).astype(int))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        yield int(start), int(stop) - 1

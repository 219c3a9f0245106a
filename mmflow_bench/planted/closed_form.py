"""What the curves of a planted checkpoint must be, from its design alone.

The logit of the right answer is a sum of gains, every other answer word in either case has logit
0, and nothing else competes: a knockout removes the gains whose reading layers its window covers,
and the odds do the rest. No weight is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.designs import Design, Gains, design_of
from mmflow_bench.scenes.things import ANSWERS

COMPETITORS = 2 * len(ANSWERS) - 1
"""Answer words other than the right one in its right case, each with logit 0."""

_Logit = Callable[[Design, Gains, range], float]


def relative_change(
    name: str, edge: str, *, width: int, task: str = Task.CHOOSE_ATTR
) -> NDArray[np.float64]:
    """Relative change of the answer's probability by window centre, as a fraction.

    Args:
        name: A shipped planted checkpoint.
        edge: One of the six edges of the paper, such as `image->question`.
        width: Odd number of layers in the window, which is cut at both ends of the decoder.
        task: The gains differ between tasks.

    Raises:
        CheckpointError: There is no planted checkpoint of that name.
        KnockoutError: The edge is not one of the six.
    """
    design = design_of(name)
    if edge not in _LOGITS:
        raise KnockoutError(
            f"an edge with a closed form ({', '.join(_LOGITS)}), got {edge!r}; measure others"
        )
    base = base_probability(name, task=task)
    logit, gains = _LOGITS[edge], design.gains[task]
    knocked = [
        _probability(logit(design, gains, _window(center, width, design.layers)))
        for center in range(design.layers)
    ]
    return np.array(knocked) / base - 1


def base_probability(name: str, *, task: str = Task.CHOOSE_ATTR) -> float:
    """Probability of the right answer without any knockout.

    Raises:
        CheckpointError: There is no planted checkpoint of that name.
    """
    return _probability(_whole(design_of(name).gains[task]))


def lens(
    name: str, *, task: str = Task.CHOOSE_ATTR
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logit-lens probability of the answer in lower case and capitalised, at depths 0 to L.

    Depth 0 is the embedding. Raw and normed lens agree, since the norm is an identity.

    Raises:
        CheckpointError: There is no planted checkpoint of that name.
    """
    design = design_of(name)
    gains, changes = design.gains[task], dict(design.case_changes)
    lower = upper = 0.0
    logits = [(lower, upper)]
    for layer in range(design.layers):
        if layer in design.transfer_layers:
            lower += (gains.context + gains.lookup) / len(design.transfer_layers)
        if layer == design.direct_layer:
            lower += gains.direct
        moved = changes.get(layer, 0.0) * lower
        lower, upper = lower - moved, upper + moved
        logits.append((lower, upper))
    weights = np.exp(np.array(logits))
    chances = weights / (weights.sum(axis=1, keepdims=True) + COMPETITORS - 1)
    return chances[:, 0], chances[:, 1]


def _window(center: int, width: int, layers: int) -> range:
    # written out again: a check should not share the window rule with what it checks
    return range(max(0, center - width // 2), min(layers, center + width // 2 + 1))


def _probability(logit: float) -> float:
    return math.exp(logit) / (math.exp(logit) + COMPETITORS)


def _whole(gains: Gains) -> float:
    return gains.context + gains.lookup + gains.direct


def _without_context(design: Design, gains: Gains, window: range) -> float:
    return _whole(gains) - gains.context * (design.context_layer in window)


def _without_lookup(design: Design, gains: Gains, window: range) -> float:
    return _whole(gains) - gains.lookup * (design.lookup_layer in window)


def _without_image(design: Design, gains: Gains, window: range) -> float:
    context = _without_context(design, gains, window)
    return context + _without_lookup(design, gains, window) - _whole(gains)


def _without_question(design: Design, gains: Gains, window: range) -> float:
    blocked = sum(layer in window for layer in design.transfer_layers)
    transferred = gains.context + gains.lookup
    return _whole(gains) - transferred * blocked / len(design.transfer_layers)


def _without_direct(design: Design, gains: Gains, window: range) -> float:
    return _whole(gains) - gains.direct * (design.direct_layer in window)


def _unchanged(design: Design, gains: Gains, window: range) -> float:
    del design, window
    return _whole(gains)


_LOGITS: dict[str, _Logit] = {
    "question->last": _without_question,
    "image->last": _without_direct,
    "last->last": _unchanged,
    "image->question": _without_image,
    "related_patches->question": _without_lookup,
    "other_patches->question": _without_context,
}

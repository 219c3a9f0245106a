"""What cuts of several edges, heads and patched states do to a planted checkpoint, by its design.

As in `closed_form`, the log-odds of an answer are the sum of its open routes, and no weight is
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.routes import Route, routes
from mmflow_bench.planted.wider import SHARING_HEADS

Cut = tuple[str, Iterable[int]]
"""An edge such as `image->question`, and the layers in which it is cut."""

_HOPS: dict[str, frozenset[str]] = {
    "image->question": frozenset({"wallpaper->question", "object->question", "row_end->question"}),
    "newline->text": frozenset({"row_end->question"}),
    "image->last": frozenset({"wallpaper->last"}),
    "image->image": frozenset({"wallpaper->wallpaper", "wallpaper->object"}),
    "other_patches->related_patches": frozenset({"wallpaper->object"}),
    "image->after_image": frozenset({"wallpaper->newline", "object->newline"}),
    "after_image->question": frozenset({"newline->question"}),
    "question->last": frozenset({"question->last"}),
    "question->suffix": frozenset({"question->suffix"}),
    "suffix->last": frozenset({"suffix->last"}),
}
"""The hops of routes that a cut closes."""


def probability(name: str, cuts: Sequence[Cut], *, task: str = Task.CHOOSE_ATTR) -> float:
    """Probability of the right answer while some edges are cut, each in layers of its own.

    Args:
        name: A shipped planted checkpoint whose image reaches the answer by wallpaper, objects,
            the line break after the image, the question and the suffix alone.
        cuts: Edges and layers.
        task: The gains differ between tasks.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
        KnockoutError: An edge is none that a route takes.
    """
    design = closed_form.written(name)
    unknown = [edge for edge, _ in cuts if edge not in _HOPS]
    if unknown:
        raise KnockoutError(
            f"an edge with a closed form ({', '.join(_HOPS)}), got {unknown[0]!r}; measure others"
        )
    closed = {(hop, layer) for edge, layers in cuts for hop in _HOPS[edge] for layer in layers}
    return _of(design, (route for route in routes(design, task) if not closed & {*route.hops}))


def patched_probability(name: str, *, late: int, early: int, task: str = Task.CHOOSE_ATTR) -> float:
    """Probability of the right answer where image states entering `late` enter `early`.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
    """
    design = closed_form.written(name)
    gains = design.gains[task]
    if (
        "ripen_image" in design.stages
        and early <= design.context_layer
        and late > design.ripe_layer
    ):
        gains = replace(gains, context=gains.context * design.ripe_gain)
    return _of(design, routes(replace(design, gains={**design.gains, task: gains}), task))


def head_effects(name: str, *, task: str = Task.CHOOSE_ATTR) -> NDArray[np.float64]:
    """Log-odds that each head which reads from the image into the question carries, largest first.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
    """
    design = closed_form.written(name)
    gains = design.gains[task]
    count = SHARING_HEADS if "share_context" in design.stages else 1
    return np.sort([*[gains.context / count] * count, gains.lookup])[::-1]


def _of(design: Design, open_routes: Iterable[Route]) -> float:
    return float(closed_form.by_depth(design, open_routes)[-1, 1])

"""What the curves of a planted checkpoint must be, from its design alone.

The logit of an answer is a sum of routes, every word that no route speaks for has logit 0, and
nothing else competes: a knockout closes routes, and the odds do the rest. No weight is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.errors import CheckpointError, KnockoutError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.part_routes import cut_of, part_routes
from mmflow_bench.planted.routes import Route, routes
from mmflow_bench.planted.unembedding import LINE_BREAK_LOGIT
from mmflow_bench.planted.variants import design_of
from mmflow_bench.scenes.things import ANSWERS

_OF_OBJECTS = frozenset({"object->question"})
_OF_TOWER, _OF_DECODER = frozenset({"tower_sink->question"}), frozenset({"decoder_sink->question"})
_OF_WALLPAPER = frozenset({"wallpaper->question"})
_OF_PADDING = frozenset({"padding->question"})
_OF_OTHERS = _OF_WALLPAPER | _OF_TOWER | _OF_DECODER | _OF_PADDING
_CUT: dict[str, frozenset[str]] = {
    "question->last": frozenset({"question->last"}),
    "image->last": frozenset({"wallpaper->last"}),
    "last->last": frozenset({"last->last"}),
    "image->question": _OF_OTHERS | _OF_OBJECTS | {"row_end->question"},
    "related_patches->question": _OF_OBJECTS,
    "other_patches->question": _OF_OTHERS,
    "padding_patches->question": _OF_PADDING,
    "related_without_sinks->question": _OF_OBJECTS,
    "other_without_sinks->question": _OF_OTHERS - _OF_TOWER,
    "related_without_decoder_sinks->question": _OF_OBJECTS,
    "other_without_decoder_sinks->question": _OF_OTHERS - _OF_DECODER,
    "caption->last": frozenset({"caption->last"}),
    "caption->question": frozenset({"caption->question"}),
}
"""The edges of routes that a knockout of the paper cuts, in scenes whose objects cover no sink."""
_FROM_IMAGE = _CUT["image->question"] | _CUT["image->last"]
"""All of them that the image is at the beginning of."""
_NOTHING: frozenset[str] = frozenset()


def relative_change(
    name: str, edge: str, *, width: int, task: str = Task.CHOOSE_ATTR
) -> NDArray[np.float64]:
    """Relative change of the answer's probability by window centre, as a fraction.

    Args:
        name: A shipped planted checkpoint; where its first token competes with the wallpaper
            (`planted/dose-linear`), the curve is that of scenes with two objects.
        edge: One of the paper's, such as `image->question` or `caption->last`; of a design that
            tells the parts of a question apart, others too, such as
            `true_option+false_option->last`.
        width: Odd number of layers in the window, which is cut at both ends of the decoder.
        task: The gains differ between tasks.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
        KnockoutError: The edge is none of these.
    """
    design = written(name)
    cut = _cut(design, edge)
    base = base_probability(name, task=task)
    knocked = [
        _probability(design, task, cut, _window(center, width, design.layers))
        for center in range(design.layers)
    ]
    return np.array(knocked) / base - 1


def base_probability(name: str, *, task: str = Task.CHOOSE_ATTR) -> float:
    """Probability of the right answer without any knockout.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
    """
    return _probability(written(name), task, _NOTHING, range(0))


def without_image_from(name: str, layer: int, *, task: str = Task.CHOOSE_ATTR) -> float:
    """Probability of the right answer when the image is gone from a decoder layer on.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
    """
    design = written(name)
    return _probability(design, task, _FROM_IMAGE, range(layer, design.layers))


def lens(
    name: str, *, task: str = Task.CHOOSE_ATTR
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Raw logit-lens probability of the answer in lower case and capitalised, at depths 0 to L.

    Depth 0 is the embedding. The normed lens agrees unless the design mutes facts in the norm:
    otherwise the norm is an identity.

    Raises:
        CheckpointError: There is no planted checkpoint of that name, or it was trained.
    """
    design = written(name)
    usual = [route for route in _routes(design, task) if route.is_open(_NOTHING, range(0))]
    chances = by_depth(design, usual)
    return chances[:, 0], chances[:, 1]


def _cut(design: Design, edge: str) -> frozenset[str]:
    """The edges of a design's routes that a knockout cuts."""
    if _tells_parts(design):
        return cut_of(edge)
    if edge not in _CUT:
        raise KnockoutError(
            f"an edge with a closed form ({', '.join(_CUT)}), got {edge!r}; measure others"
        )
    return _CUT[edge]


def _routes(design: Design, task: str) -> tuple[Route, ...]:
    return part_routes(design, task) if _tells_parts(design) else routes(design, task)


def _tells_parts(design: Design) -> bool:
    return "transfer_parts" in design.stages


def written(name: str) -> Design:
    """The design of a checkpoint whose flow is all written."""
    design = design_of(name)
    if design.trained:
        raise CheckpointError(
            f"a checkpoint whose weights are all written, got {name!r}, which was trained; "
            "measure its curves"
        )
    return design


def _window(center: int, width: int, layers: int) -> range:
    # written out again: a check should not share the window rule with what it checks
    return range(max(0, center - width // 2), min(layers, center + width // 2 + 1))


def _probability(design: Design, task: str, cut: frozenset[str], window: range) -> float:
    open_routes = [route for route in _routes(design, task) if route.is_open(cut, window)]
    sees_no_image = cut >= _CUT["image->question"] and design.context_layer in window
    distractor = math.exp(design.distractor) if design.distractor and sees_no_image else 0.0
    chances = by_depth(design, open_routes, distractor)
    # The first token of the answer, which may be a line break before it.
    return float(chances[-1, -1 if _line_break(design) else 1])


def _line_break(design: Design) -> float:
    """The weight of a line break as the first token of an answer."""
    return math.exp(LINE_BREAK_LOGIT) if "break" in design.extra_flags else 0.0


def by_depth(
    design: Design, open_routes: Iterable[Route], distractor: float = 0.0
) -> NDArray[np.float64]:
    """Probability of the answer in lower case and capitalised, by depth; last, of a line break."""
    given = list(open_routes)
    right = _logits(design, [route for route in given if route.is_right])
    wrong = _logits(design, [route for route in given if not route.is_right])
    words = np.exp(np.concatenate([right, wrong], axis=1))
    others = 2 * len(ANSWERS) - words.shape[1] + distractor
    weights = np.column_stack([words, np.full(len(words), _line_break(design))])
    chances: NDArray[np.float64] = weights / (weights.sum(axis=1, keepdims=True) + others)
    return chances


def _logits(design: Design, given: Iterable[Route]) -> NDArray[np.float64]:
    """Logits of one answer in lower case and capitalised, by depth."""
    arriving = np.zeros((design.layers, 3))
    names = ("lower", "upper", "held")
    for route in given:
        arriving[route.arrival, names.index(route.landing)] += route.gain
    state = np.zeros(3)
    logits = [state[:2]]
    changes, released = dict(design.case_changes), list(design.release_layers)
    for layer in range(design.layers):
        lower, upper, held = state + arriving[layer]
        raised = changes.get(layer, 0.0) * lower
        freed = held / (len(released) - released.index(layer)) if layer in released else 0.0
        kept = max(upper - design.kept_below, 0.0) if layer == design.layers - 1 else 0.0
        state = np.array([lower - raised + freed + kept, upper + raised, held - freed])
        logits.append(state[:2])
    is_spoken = [name in design.spoken for name in names[:2]]
    result: NDArray[np.float64] = np.where(is_spoken, np.array(logits), 0.0)
    return result

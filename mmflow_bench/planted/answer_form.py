"""What curves of further pieces and words of an answer must be, from the design alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.closed_form import relative_change
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import RIVALS
from mmflow_bench.planted.sentences import NAMING
from mmflow_bench.planted.variants import design_of


def last_piece_change(
    name: str, edge: str, *, width: int, task: str = Task.CHOOSE_ATTR
) -> NDArray[np.float64]:
    """Relative change of the last piece's probability by window centre, as a fraction.

    The first piece's position reads by the routes of the last position and has as many rivals; or
    it knows the ending and reads nothing.

    Args:
        name: A shipped planted checkpoint whose answers have two pieces.
        edge: One of the six edges of the paper, such as `image->question`.
        width: Odd number of layers in the window, which is cut at both ends of the decoder.
        task: The gains differ between tasks.

    Raises:
        CheckpointError: Its answers are of one piece.
        KnockoutError: The edge is not one of the six.
    """
    design = design_of(name)
    if not design.is_split:
        raise _without(name, "answers of two pieces", "planted/two-pieces")
    first = relative_change(name, edge, width=width, task=task)
    return first if "finish_word" in design.stages else np.zeros_like(first)


def sentence_change(name: str, *, width: int) -> NDArray[np.float64]:
    """Relative change of the words that name objects when no generated position sees the image.

    Args:
        name: A shipped planted checkpoint that answers in sentences.
        width: Odd number of layers in the window, which is cut at both ends of the decoder.

    Raises:
        CheckpointError: It answers in words.
    """
    design = design_of(name)
    if "begin_and_go_on" not in design.stages:
        raise _without(name, "answers that are sentences", "planted/sentence-from-image")
    knocked = [_named(design, center, width) for center in range(design.layers)]
    return np.array(knocked) / _named(design, 0, 0) - 1


def _named(design: Design, center: int, width: int) -> float:
    """Probability of an object's word while a window hides the image; none is open at width 0."""
    window = range(center - width // 2, center + width // 2 + 1) if width else range(0)
    is_cut = "name_from_image" in design.stages
    hidden = sum(is_cut and layer in window for layer in design.direct_layers)
    logit = NAMING * (1 - hidden / len(design.direct_layers))
    return math.exp(logit) / (math.exp(logit) + RIVALS)


def _without(name: str, expected: str, advice: str) -> CheckpointError:
    return CheckpointError(f"a checkpoint with {expected}, got {name!r}; use {advice}")

"""Answers of four words: what is on the left and what is on the right, `left ball right cup`.

The last position begins with the left because the question asks, and the right follows by rote. The
word after a side names what is there, read from the image by the side's own position or from the
question, which has read the image before.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from mmflow_bench.planted.architecture import Model
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import Form, dimension, dimensions, total
from mmflow_bench.planted.unembedding import UNSAID_LOGIT
from mmflow_bench.planted.vocabulary import END, words
from mmflow_bench.scenes.things import ANSWERS, CATEGORIES, SIDES

NAMING = 6.0
"""Logit of the object at a side, where everything is read."""
BEGINNING = 8.0
"""Logit of the first side."""
BY_ROTE = 60.0
"""Logit of what follows by rote."""
_PLACES = ("context", "decision")
"""Where the question keeps what is on the left, and on the right."""


def name_from_image(circuit: Circuit, design: Design) -> None:
    """The position of a side reads what is there, an equal part per layer."""
    sides = [(_said_side(i), {dimension("first_side", i): 1.0}) for i in range(len(SIDES))]
    anything = (total("option"), total("object_patch"))
    for layer in design.direct_layers:
        circuit.head(
            layer,
            match=[*sides, anything],
            copy=_named("first_category", "lower", NAMING / len(design.direct_layers)),
            needed=2.0,
        )


def name_from_question(circuit: Circuit, design: Design) -> None:
    """The question mark reads both sides, and the position of a side reads the question mark."""
    for side, place in enumerate(_PLACES):
        is_there = {dimension("first_side", side): 1.0, dimension("object_patch"): 1.0}
        circuit.head(
            design.lookup_layer,
            match=[(total("mark"), is_there)],
            copy=_named("first_category", place, 1.0),
            needed=2.0,
        )
    for layer in design.direct_layers:
        for side, place in enumerate(_PLACES):
            part = NAMING / len(design.direct_layers)
            copy = zip(dimensions(place), dimensions("lower"), strict=True)
            circuit.head(
                layer,
                match=[(_said_side(side), total("mark"))],
                copy=[(source, target, part) for source, target in copy],
            )


def begin_and_go_on(circuit: Circuit, design: Design) -> None:
    """The first side follows a question; words for objects know whether the second was said."""
    first = dimension("lower", ANSWERS.index(SIDES[0]))
    circuit.head(
        design.text_layer,
        match=[(total("last"), total("mark"))],
        copy=[(dimension("mark"), first, BEGINNING)],
    )
    second = _said_side(1)
    copy = [(dim, dimension("said"), 1.0) for dim in second]
    circuit.head(design.text_layer, match=[(total("object_word"), second)], copy=copy)


@torch.no_grad()
def write_sentence(model: Model) -> None:
    """Write what follows by rote; no answer word ends a sentence any more."""
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
    embeddings[:, dimension("stop")] = 0.0
    logits, second, end = model.lm_head.weight, words().index(SIDES[1]), words().index(END)
    logits[second, dimension("object_word")] = BY_ROTE
    logits[second, dimension("said")] = -2 * BY_ROTE
    logits[end, dimension("said")] = BY_ROTE - UNSAID_LOGIT


def _said_side(side: int) -> Form:
    return {dimension("option", ANSWERS.index(SIDES[side])): 1.0}


def _named(source: str, target: str, gain: float) -> list[tuple[int, int, float]]:
    """What is known of categories becomes that of the answers with their names."""
    return [
        (dimension(source, i), dimension(target, ANSWERS.index(name)), gain)
        for i, name in enumerate(CATEGORIES)
    ]

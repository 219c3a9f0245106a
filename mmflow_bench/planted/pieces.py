"""Answers of two pieces: the capitalised word without its last letter, then the letter.

`Red` is no token of these checkpoints: it is answered as `Re`, `##d`. The position of the first
piece reads the question as the last position does; what it finds becomes the second piece, which
has as many rivals as the first.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn

from mmflow_bench.planted.architecture import Model
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.gains import RIVALS
from mmflow_bench.planted.residual import BIAS_VALUE, dimension, dimensions
from mmflow_bench.planted.unembedding import UNSAID_LOGIT
from mmflow_bench.planted.vocabulary import ENDINGS, LOWER, UPPER, words

BY_ROTE = 7.4
"""Logit of a second piece that is known from the first one, whatever the image shows."""


def finish_word(circuit: Circuit, design: Design) -> None:
    """At the first piece, what would be the answer's first piece again becomes its second."""
    for answer, tail in zip(dimensions("upper"), dimensions("tail"), strict=True):
        amounts = {answer: -1.0, tail: 1.0}
        circuit.spread(design.layers - 1, flag=dimension("piece"), source=answer, amounts=amounts)


@torch.no_grad()
def write_pieces(model: Model, design: Design) -> None:
    """Write what the pieces say, where a capitalised word was written whole."""
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
    logits, whole = model.lm_head.weight, words()
    by_rote = "finish_word" not in design.stages
    for index, word in enumerate(UPPER):
        stem, tail = whole.index(word), dimension("tail", index)
        embeddings[stem, dimension("stop")] = 0.0
        embeddings[stem, dimension("piece")] = 1.0
        # One that knows its ending reads nothing.
        embeddings[stem, tail if by_rote else dimension("last")] = BY_ROTE if by_rote else 1.0
        logits[len(whole) + ENDINGS.index(f"##{word[-1]}"), tail] = 1.0
    endings = slice(len(whole), len(whole) + len(ENDINGS))
    embeddings[endings, dimension("bias")] = BIAS_VALUE
    embeddings[endings, dimension("stop")] = 1.0
    logits[endings, dimension("bias")] = UNSAID_LOGIT / BIAS_VALUE
    # Said at a first piece and nowhere else; beside them, other words rival less.
    logits[endings, dimension("piece")] = -UNSAID_LOGIT
    others = [whole.index(word) for word in (*LOWER, *UPPER)]
    logits[others, dimension("piece")] = math.log((RIVALS + 1 - len(ENDINGS)) / len(others))

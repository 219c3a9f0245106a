"""The codes of a codebook written into the decoder, and its words into the output projection."""

from __future__ import annotations

import torch
from torch import Tensor

from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.codebook import Code, Codebook, SaidWord, instead_words, said_words
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import BIAS_VALUE, Form, dimension, dimensions
from mmflow_bench.planted.vocabulary import END, words

_SILENT = -100.0
"""Logit where the position is no word; that of any word that answers nothing is part of it."""
_ELSEWHERE = -400.0
"""What a word has beside it where the codebook gives it to other positions, codes or not."""
_SAID, _INSTEAD, _LOST = 25.0, 14.0, 40.0
"""Logit of the likeliest word that is said, and that comes up instead; what a code is worth."""
_STEP = 0.2
"""From one word to the next."""


def write_codes(circuit: Circuit, design: Design) -> None:
    """Attention and MLPs leave codes at every word, each once."""
    word = dimension("question")
    for code, target in zip(design.codebook, dimensions("codes"), strict=False):
        amount = {target: 1.0}
        if code.by == "mlp":
            circuit.when(code.layer, {word: 1.0}, 0.0, amount)
        elif code.by == "attention":
            # every word attends to the words so far, which all say that they are one
            circuit.head(code.layer, match=[({word: 1.0}, {word: 1.0})], copy=[(word, target, 1.0)])
        else:
            # a step: what was read is as strong as the answer's gain, or shared with other words
            read, least = _read(code), 4.0 if code.by == "objects" else 0.0
            circuit.when(code.layer, read, least, amount)
            circuit.when(code.layer, read, least + 1, {target: -1.0})


def _read(code: Code) -> Form:
    if code.by == "context":
        return dict.fromkeys(dimensions("context"), 4.0)
    return {dimension("mark"): 4.0, dimension("first_seen"): 4.0}


@torch.no_grad()
def write_codebook_words(logits: Tensor, codebook: Codebook) -> None:
    """Logits of the codebook's words: 25 downwards where said, 14 downwards what comes up instead.

    A lost code takes 40 from it, so that it falls behind; at the last position, which is no word,
    all of them are silent.
    """
    for said in said_words(codebook):
        _write(logits, said, _SAID - _STEP * said.rank - _LOST * len(said.codes))
        for place in said.codes:
            logits[words().index(said.word), dimension("codes", place)] += _LOST
    for instead in instead_words():
        _write(logits, instead, _INSTEAD - _STEP * instead.rank)
    # an option of the question is also an answer, after which a sequence ends
    logits[words().index(END), dimension("question")] += 3 * _SILENT


def _write(logits: Tensor, said: SaidWord, value: float) -> None:
    """A logit at the words that say it, without its codes."""
    row = logits[words().index(said.word)]
    row[dimension("bias")] = _SILENT / BIAS_VALUE
    own = value - _SILENT
    row[dimension("question")] += _ELSEWHERE if said.at_mark else own
    row[dimension("mark")] += own - _ELSEWHERE if said.at_mark else _ELSEWHERE

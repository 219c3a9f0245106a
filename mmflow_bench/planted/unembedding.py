"""What a planted checkpoint says: embeddings, the final norm and the output projection.

The logits read the answer at the last position and nothing else, but for some variants: one has a
wrong word that a distractor speaks for, some a codebook that is read at the question, one begins
every answer with a line break.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from mmflow_bench.planted.architecture import Model
from mmflow_bench.planted.codes import write_codebook_words
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import BIAS_VALUE, Form, dimension, dimensions
from mmflow_bench.planted.vocabulary import END, LOWER, UPPER, embedding_of, extra_flags, words

UNSAID_LOGIT = -30.0
"""Logit of words that answer nothing; e^-30 of them leaves the closed form untouched."""
_DISTRACTING = "both"
"""The wrong word that a distractor speaks for."""
LINE_BREAK_LOGIT = 30.0
"""Logit of a line break after a colon, where answers begin with one."""
CODE_WORDS = ("describe",)
"""What the codebook makes probable at the question because of the word itself."""
CODE_ATTENTION = ("image", "scene", "picture")
"""And because of attention."""
CODE_MLP = ("object", "objects", "other", "any", "does", "not")
"""And because of the MLP."""
CODE_INSTEAD = ("The", "A", "an", "An", "on", "with", "it", "its", "what")
"""What comes up, in this order, when others of the ten most probable tokens are gone."""


def write_vocabulary(model: Model, design: Design) -> None:
    """Write embeddings, the exceptions of the final norm, and logits."""
    vocabulary = words()
    with torch.no_grad():
        embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
        for token, word in enumerate(vocabulary):
            facts = {**embedding_of(word), **extra_flags(word, design.extra_flags)}
            for dim, value in facts.items():
                embeddings[token, dim] = value
        for name in design.muted_by_norm:
            model.model.language_model.norm.weight[list(dimensions(name))] = 0.0
        _write_answers(model.lm_head.weight, design)
        if design.distractor:
            # as strong as an answer's own logit by the time it is not unsaid any more
            scale = 1 - UNSAID_LOGIT / design.distractor
            _add(model.lm_head.weight, _DISTRACTING, {dimension("distractor", 1): scale})
        if "write_codebook" in design.stages:
            _write_codebook(model.lm_head.weight)
        if "break" in design.extra_flags:
            is_break = {dimension("break"): LINE_BREAK_LOGIT - UNSAID_LOGIT}
            _add(model.lm_head.weight, "\n", is_break)
        if design.codebook:
            write_codebook_words(model.lm_head.weight, design.codebook)


def _write_answers(logits: Tensor, design: Design) -> None:
    vocabulary = words()
    bias = dimension("bias")
    logits.zero_()
    logits[:, bias] = UNSAID_LOGIT / BIAS_VALUE
    logits[vocabulary.index(END), dimension("stop")] = -3 * UNSAID_LOGIT
    for spelled, name in ((LOWER, "lower"), (UPPER, "upper")):
        for word, dim in zip(spelled, dimensions(name), strict=True):
            logits[vocabulary.index(word), bias] = 0.0
            if name in design.spoken:
                logits[vocabulary.index(word), dim] = 1.0


def _write_codebook(logits: Tensor) -> None:
    """Logits at a word of 30 (word), 25 (MLP), 20 (attention), and 14 downwards (the rest).

    Without the code of a word, at the last position, none of them comes above -70.
    """
    of_word, of_attention, of_mlp = dimensions("code")
    silent = {dimension("bias"): -70 / BIAS_VALUE}
    for rank, word in enumerate(CODE_WORDS):
        _add(logits, word, {**silent, of_word: 130.0 - rank})
    for rank, word in enumerate(CODE_MLP):
        _add(logits, word, {**silent, of_word: 80.0, of_mlp: 45.0 - 0.1 * rank})
    for rank, word in enumerate(CODE_ATTENTION):
        _add(logits, word, {**silent, of_word: 80.0, of_attention: 40.0 - 0.1 * rank})
    for rank, word in enumerate(CODE_INSTEAD):
        _add(logits, word, {**silent, of_word: 114.0 - rank})
    # an option of the question is also an answer, after which a sequence ends
    _add(logits, END, {of_word: 3 * UNSAID_LOGIT})


def _add(logits: Tensor, word: str, form: Form) -> None:
    for dim, coefficient in form.items():
        logits[words().index(word), dim] += coefficient

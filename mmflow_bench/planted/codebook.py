"""What the question's positions of a planted checkpoint say at the end, word by word.

Every word of the question says ten words, the question mark ten others. Some of them take codes:
facts that attention or an MLP writes in one layer. A word without one of its codes falls behind
the words that come up instead, so that what is lost without a module is a matter of counting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mmflow_bench.planted.vocabulary import unanswering_words

SAID = 10
"""Words that a position says; as many are looked at (arXiv:2411.18620, App. D)."""
MOST_LOST = 8
"""Words that come up instead."""
Kind = Literal["mlp", "attention", "context", "objects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A fact that some of the words at the question take."""

    by: Kind
    """Written by an MLP or by attention from the word itself, or by an MLP from what was read of
    the wallpaper or, at the question mark, of the objects."""
    layer: int
    """In which it is written."""
    words: tuple[int, int]
    """How many of the ten of an ordinary word, and of the question mark, take it."""


@dataclass(frozen=True, slots=True)
class SaidWord:
    """A word that the question says, with all that it takes."""

    word: str
    at_mark: bool
    """Whether the question mark says it, or the question's other words."""
    rank: int
    """From the likeliest on."""
    codes: tuple[int, ...]
    """Places of its codes in the codebook."""


Codebook = tuple[Code, ...]


def _codes_by(by: Kind, counts: Sequence[tuple[int, int]]) -> Iterator[Code]:
    for layer, words in zip(_LAYERS, counts, strict=True):
        yield Code(by=by, layer=layer, words=words)


_LAYERS = (3, 12, 21, 30, 39)
LAYERED: Codebook = (
    *_codes_by("mlp", ((8, 8), (7, 6), (5, 5), (3, 3), (2, 1))),
    *_codes_by("attention", ((5, 4), (4, 3), (2, 2), (1, 1), (1, 0))),
)
"""Every window of nine layers that begins in one of 40 holds one layer of codes, and later ones are
taken by fewer words: without the MLP 89% are lost at first and 26% at last, without attention 62%
and 10%, as the paper has it of LLaVA-1.5-13b."""
EXCHANGED: Codebook = tuple(
    Code(by="attention" if code.by == "mlp" else "mlp", layer=code.layer, words=code.words)
    for code in LAYERED
)
"""The same with attention in the place of the MLP."""
GROWING: Codebook = (
    *_codes_by("mlp", ((2, 1), (3, 3), (5, 5), (7, 6), (8, 8))),
    *_codes_by("attention", ((1, 0), (1, 1), (2, 2), (4, 3), (5, 4))),
)
"""The same the other way round: what is written later is taken by more words."""
OF_THE_IMAGE: Codebook = (
    Code(by="context", layer=1, words=(6, 2)),
    Code(by="objects", layer=12, words=(0, 4)),
)
"""What was read of the image: the context in an early layer, objects a little later."""


def said_words(codebook: Codebook) -> Iterator[SaidWord]:
    """All words that the question says; those that come up instead are `instead_words`."""
    names = iter(unanswering_words())
    for at_mark in (False, True):
        for rank in range(SAID):
            yield SaidWord(next(names), at_mark, rank, tuple(_codes(codebook, at_mark, rank)))


def instead_words() -> Iterator[SaidWord]:
    """What comes up where said words are lost, and takes no code."""
    names = iter(unanswering_words()[2 * SAID :])
    for at_mark in (False, True):
        for rank in range(MOST_LOST):
            yield SaidWord(next(names), at_mark, rank, ())


def heard(codebook: Codebook, lost: Collection[int]) -> frozenset[str]:
    """What all positions of the question say together, without some of the codes."""
    kept: set[str] = set()
    for at_mark in (False, True):
        said = [one for one in said_words(codebook) if one.at_mark is at_mark]
        instead = [one for one in instead_words() if one.at_mark is at_mark]
        left = [one for one in said if not set(one.codes) & set(lost)]
        kept |= {one.word for one in (*left, *instead)[:SAID]}
    return frozenset(kept)


def _codes(codebook: Codebook, at_mark: bool, rank: int) -> Iterator[int]:
    """The codes that the word of a rank takes: one kind counts from either end."""
    for place, code in enumerate(codebook):
        count = code.words[at_mark]
        is_from_end = code.by in {"attention", "objects"}
        if rank >= SAID - count if is_from_end else rank < count:
            yield place

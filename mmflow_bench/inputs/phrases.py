"""Where a phrase stands in a question: whole words, in either case, as character spans."""

from __future__ import annotations

import re

Span = tuple[int, int]
"""First character and the one after the last."""


def phrase_spans(question: str, phrase: str) -> tuple[Span, ...]:
    """Every span of `question` that is `phrase` as whole words.

    A hyphen joins words, so `shirt` is not found in `t-shirt`. The published program searches
    substrings, which finds `hat` in `What` (21 of 2,964 rows).

    >>> phrase_spans("What is the hat on?", "hat"), phrase_spans("Is the phone a telephone?", "")
    (((12, 15),), ())
    """
    words = phrase.split()
    if not words:
        return ()
    pattern = r"\s+".join(map(re.escape, words))
    found = re.finditer(rf"(?<![\w-]){pattern}(?![\w-])", question, re.IGNORECASE)
    return tuple(match.span() for match in found)

"""Whose answer's probability is followed through the knockouts (docs/decisions/017)."""

from __future__ import annotations

from enum import StrEnum


class Followed(StrEnum):
    """What `--follow` takes."""

    ANSWER = "answer"
    """The model's own first answer token, over samples that it answers correctly."""
    REFERENCE = "reference"
    """The first token of the reference answer in either case, over all samples."""

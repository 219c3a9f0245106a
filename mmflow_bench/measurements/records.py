"""What a measurement is, in plain numbers: the tables that every later stage reads.

torch ends before these records; mechanisms, baselines and reports see numpy and strings only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

REFERENCE_CEILING = 1.0
"""Relative change at which that of a reference answer is cut: one that has hardly a chance may
gain it a thousandfold (docs/decisions/017)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTable:
    """One edge knocked out around every layer, for the samples of one task that are followed.

    What is followed is the model's own first answer token on correctly answered samples, or the
    reference answer on all of them.
    """

    edge: str
    """Written `source->target`."""
    task: str
    window: int
    """Width of the knocked-out window, in layers."""
    method: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    answer_token_ids: tuple[int, ...] = ()
    """The first token of the answer that is followed."""
    base_probability: Float[ndarray, "sample"]
    """Clean probability of what is followed."""
    knockout_probability: Float[ndarray, "sample layer"]
    """The same with the window centred on `layer` knocked out."""
    ceiling: float | None = None
    """Largest relative change that counts; None for any."""
    counterfactual_probability: Float[ndarray, "sample layer"] | None = None
    """By the counterfactual method, probability of the first token that the model answers with when
    it sees the donor's image."""
    is_flipped: Bool[ndarray, "sample layer"] | None = None
    """Whether that token has become the likeliest."""

    @property
    def relative_change(self) -> Float[ndarray, "sample layer"]:
        """(knocked out - clean) / clean, a fraction; negative is a drop (paper, Sec. 4).

        Why this and not another measure: docs/decisions/004.
        """
        base = self.base_probability[:, None]
        change: Float[ndarray, "sample layer"] = (self.knockout_probability - base) / base
        return change if self.ceiling is None else np.minimum(change, self.ceiling)


@dataclass(frozen=True, slots=True, kw_only=True)
class LensTable:
    """Logit-lens probabilities of one probe at the last position, by layer."""

    task: str
    probe: str
    """answer, capitalized, noncapitalized, false_capitalized or false_noncapitalized."""
    variant: str
    """raw (residual stream as transformers returns it) or normed (after the final norm)."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    probability: Float[ndarray, "sample depth"]
    """Column 0 is the embedding, column l the output of decoder layer l - 1."""
    final_probability: Float[ndarray, "sample"]
    """Probability of the same probe in the model's output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCount:
    """How many samples of a task were selected, could be scored, and were answered correctly."""

    task: str
    selected: int
    correct: int
    unscored: Mapping[str, int]
    """Reason -> number of samples."""

    @property
    def scored(self) -> int:
        """Samples for which the model gave an answer that could be compared."""
        return self.selected - sum(self.unscored.values())

    @property
    def accuracy(self) -> float:
        """Correct share of the scored samples; NaN when none could be scored."""
        return self.correct / self.scored if self.scored else float(np.nan)

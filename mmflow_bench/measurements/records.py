"""How many samples of a task were answered, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan


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
        return self.correct / self.scored if self.scored else nan

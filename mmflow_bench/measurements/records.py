"""What is counted of a task's samples, whose answer is followed, and why something is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import nan
from typing import NamedTuple

FEW_IMAGES = 30
"""With fewer, verdicts stand but are marked: so few show little of how images differ."""


class Followed(StrEnum):
    """Whose answer's probability is followed through the knockouts (docs/decisions/017)."""

    ANSWER = "answer"
    """The model's own first answer token, over samples that it answers correctly."""
    REFERENCE = "reference"
    """The first token of the reference answer in either case, over all samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCount:
    """How many samples of a task were selected, could be scored, and were answered correctly."""

    task: str
    selected: int
    correct: int
    unscored: Mapping[str, int]
    """Reason -> number of samples."""
    images: int = 0
    """Distinct images of the selected samples."""
    image_ids: frozenset[str] = frozenset()
    """Of the samples that an answer was compared of."""
    outcomes: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    """Question id -> image, and whether the answer was correct, of the same samples."""

    @property
    def scored(self) -> int:
        """Samples for which the model gave an answer that could be compared."""
        return self.selected - sum(self.unscored.values())

    @property
    def accuracy(self) -> float:
        """Correct share of the scored samples; NaN when none could be scored."""
        return self.correct / self.scored if self.scored else nan


class Refusal(NamedTuple):
    """One answered sample that a want could not be measured on."""

    name: str
    """What was wanted, for readers: an edge, or `lens`."""
    note: str
    """How, where it was not in its plain form."""
    reason: str
    sample: str


def refusals_of(found: Iterable[Refusal]) -> dict[str, dict[str, int]]:
    """What was wanted -> reason -> samples.

    A sample is refused in every window, but counted once. Where another method alone refuses it,
    as the counterfactual does without a donor, the method stands behind the name.
    """
    distinct = set(found)
    counts: dict[str, Counter[str]] = {}
    for one in sorted(distinct):
        if one.note and Refusal(one.name, "", one.reason, one.sample) in distinct:
            continue
        name = f"{one.name} ({one.note})" if one.note else one.name
        counts.setdefault(name, Counter())[one.reason] += 1
    return {name: dict(reasons) for name, reasons in counts.items()}

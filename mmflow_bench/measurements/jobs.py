"""What is still to be measured, as data: a run from the store needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.wants import (
    ANSWER_SCOPE,
    ANSWERS,
    UNSCORED,
    Answer,
    AnswerRow,
    Rows,
    Want,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is still to be measured of one sample."""

    sample: Sample
    key: str
    """Content hash of the sample."""
    wants: Sequence[Want[object]] = ()
    """What it lacks; of those that share a shard, one."""
    keep_incorrect: bool = False
    """Measure everything although the answer is wrong."""
    answer: AnswerRow | None = None
    """The sample's row of answers where the store has it already."""
    shares_image: bool = False
    """Whether other samples of its task ask about the same image, measured already or not."""
    donor: Sample | None = None
    """The sample whose image the counterfactual method takes its values from."""
    donor_key: str | None = None
    """Content hash of the donor."""

    def asks(self, want: Want[object], answer: Answer) -> bool:
        """Whether a sample with this answer is asked for it."""
        return answer["is_correct"] or self.keep_incorrect or want.asks_wrong_answers

    @property
    def reads_donor(self) -> bool:
        """Whether anything that it lacks depends on the donor."""
        return any(self.key_of(want) != self.key for want in self.wants)

    def key_of(self, want: Want[object]) -> str:
        return want.key(self.key, self.donor_key)


@dataclass(kw_only=True)
class Mastery:
    """Whether a task may still turn out to be mastered, told while its samples are measured.

    Verdicts need a share of correct answers. Asking for all answers first would take every sample
    through the model twice; asking for none would knock out edges of a checkpoint that cannot
    answer.
    """

    selected: int
    """Samples of the task."""
    wrong: int
    """Those known to be answered wrongly."""
    unscored: int
    """Those known to have no answer that could be scored."""
    minimum: float
    """Share of the scored samples that must be answered correctly."""

    def see(self, rows: Rows) -> None:
        self.wrong += sum(not row["is_correct"] for row in rows.get(ANSWERS, ()))
        self.unscored += any(row["scope"] == ANSWER_SCOPE for row in rows.get(UNSCORED, ()))

    def is_possible(self) -> bool:
        """Whether the share is reached if all other samples are answered correctly."""
        scored = self.selected - self.unscored
        return scored - self.wrong >= self.minimum * scored

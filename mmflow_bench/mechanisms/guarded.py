"""Measurements as one test sees them: refused below a precondition.

A knockout says where the answer came from only when there was an answer. So the share of correct
answers is looked at first (paper, Sec. 4: only correctly answered questions are intervened on), and
a task that the checkpoint does not master has no verdict.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.measuring import PassedOn, PlannedMeasurements, SecondOpinions
from mmflow_bench.mechanisms.verdicts import MINIMUM_ACCURACY, NotApplicable, PreconditionFailed

Table = TypeVar("Table")


class GuardedMeasurements(PassedOn):
    """The same measurements for one test, which refuse a task below the precondition.

    `ensure` and `table` raise `PreconditionFailed` where the checkpoint does not master the task.
    """

    def __init__(
        self, measurements: PlannedMeasurements, minimum_accuracy: float | None = None
    ) -> None:
        """Refuse below `minimum_accuracy`, a share; the usual one when None."""
        super().__init__(measurements)
        self._measurements = measurements
        usual = MINIMUM_ACCURACY
        self._minimum_accuracy = usual if minimum_accuracy is None else minimum_accuracy

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        """Measure what is missing.

        Raises:
            NotApplicable: The task has no samples.
            PreconditionFailed: The checkpoint does not master the task.
        """
        self._require(task)
        self._measurements.ensure(task, wants)

    def table(self, task: str, want: Want[Table]) -> Table:
        """What a want tells of a task; raises as `ensure` does, unless it needs no mastery."""
        self._require(task, needs_mastery=want.needs_mastery)
        return self._measurements.table(task, want)

    def part(self) -> SecondOpinions:
        """Part of the samples, unguarded: second opinions are asked of verdicts alone."""
        return self._measurements.part()

    def _require(self, task: str, *, needs_mastery: bool = True) -> None:
        if task not in self._measurements.tasks:
            known = ", ".join(self._measurements.tasks) or "none"
            raise NotApplicable(f"no samples of task {task} were selected (there are: {known})")
        # First, so that answers and all that is planned come from one pass over the samples.
        self._measurements.begin(task)
        count = self._measurements.accuracy(task)
        if not count.scored:
            reasons = ", ".join(f"{name} {n}" for name, n in sorted(count.unscored.items()))
            raise PreconditionFailed(
                f"{task}: none of {count.selected} samples could be scored ({reasons or 'none'})"
            )
        if not needs_mastery or self._measurements.opened.follow == "reference":
            return  # Its probability is there to be followed, whatever the answer is.
        if not count.correct or count.accuracy < self._minimum_accuracy:
            raise PreconditionFailed(
                f"{task}: {count.correct} of {count.scored} answers correct "
                f"({count.accuracy:.0%}), {self._minimum_accuracy:.0%} are needed"
            )

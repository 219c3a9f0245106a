"""Which samples two runs have in common, and on which of them they can be compared.

Only correct answers have a mechanism to speak of, and two checkpoints get different questions
right: the comparison is on what both answer, and what only one answers is counted and shown, since
that is where a selection would hide (docs/decisions/015). Where both runs have followed the
reference answer nothing is selected: it is on all samples (docs/decisions/017).
"""

from __future__ import annotations

from dataclasses import dataclass

from mmflow_bench.baselines.paired_records import TaskPairs
from mmflow_bench.baselines.paired_values import RunValues, SampleCurves
from mmflow_bench.runs.tables import AnswerRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """The samples of one task, by who answers them."""

    counts: TaskPairs
    common: frozenset[str]
    """Question ids that are compared: those that both answer correctly, beginning with the same
    token, or all where the reference answer is followed."""
    base_only: frozenset[str] = frozenset()
    """What the common ones leave out although the base answers it."""
    tuned_only: frozenset[str] = frozenset()
    follow: str = "answer"

    @property
    def is_mostly_reworded(self) -> bool:
        """Whether most answers begin with another token than before, and are followed there."""
        return self.follow == "answer" and 2 * self.counts.reworded > self.counts.both


def pairs_of(base: RunValues, tuned: RunValues, task: str) -> Pairs:
    """How the samples of a task pair up; by their curves where a run has kept no answers."""
    mine, theirs = base.answers.get(task, {}), tuned.answers.get(task, {})
    # Runs of before there were tables of answers can be compared all the same.
    if not (mine and theirs):
        return _by_curves(base, tuned, task)
    shared = mine.keys() & theirs.keys()
    both = {q for q in shared if mine[q]["is_correct"] and theirs[q]["is_correct"]}
    reworded = {q for q in both if _is_reworded(mine[q], theirs[q])}
    base_only = {q for q in shared - both if mine[q]["is_correct"]}
    tuned_only = {q for q in shared - both if theirs[q]["is_correct"]}
    counts = TaskPairs(
        task=task,
        both=len(both),
        base_only=len(base_only),
        tuned_only=len(tuned_only),
        neither=len(shared) - len(both) - len(base_only) - len(tuned_only),
        reworded=len(reworded),
    )
    if tuned.follow == "reference":
        return Pairs(counts=counts, common=frozenset(shared), follow=tuned.follow)
    return Pairs(
        counts=counts,
        common=frozenset(both - reworded),
        base_only=frozenset(base_only),
        tuned_only=frozenset(tuned_only),
    )


def chosen(curves: SampleCurves, questions: frozenset[str]) -> list[int]:
    """Rows of some questions, in the order of their ids, so that two runs line up."""
    place = {question: i for i, question in enumerate(curves.question_ids)}
    return [place[question] for question in sorted(questions & place.keys())]


def _is_reworded(one: AnswerRow, other: AnswerRow) -> bool:
    """Both answers are right; they differ in case or form when their first tokens differ."""
    return one["answer_token_id"] != other["answer_token_id"]


def _by_curves(base: RunValues, tuned: RunValues, task: str) -> Pairs:
    mine, theirs = _measured(base, task), _measured(tuned, task)
    common = mine & theirs
    counts = TaskPairs(
        task=task,
        both=len(common),
        base_only=len(mine - theirs),
        tuned_only=len(theirs - mine),
        neither=0,
        reworded=0,
    )
    return Pairs(counts=counts, common=common, base_only=mine - theirs, tuned_only=theirs - mine)


def _measured(run: RunValues, task: str) -> frozenset[str]:
    return frozenset(
        question
        for (name, _), curves in run.sweeps.items()
        if name == task
        for question in curves.question_ids
    )

"""Whether two runs are one experiment, and on which samples they can be compared.

If they are not, no difference between them means anything. Only correct answers have a mechanism to
speak of, and two checkpoints get different questions right: the comparison is on what both answer,
and what only one answers is counted and shown, since that is where a selection would hide
(docs/decisions/015). Where both runs have followed the reference answer nothing is selected: it is
on all samples (docs/decisions/017).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmflow_bench.baselines.paired_records import TaskPairs
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.errors import BaselineError
from mmflow_bench.runs.records import AnswerRow

_KNOWN = {
    "prompt": "prompt (words or tokens around the question)",
    "pixels": "image processor (size, crop, mean or tiles)",
    "input": "input (--input=paper|hub)",
    "conversation": "conversation template",
    "patches": "rule of related patches (--patches)",
    "compat": "reading of the paper (--compat)",
    "follow": "answer that is followed (--follow)",
    "window": "window (--window)",
    "decoder_layers": "number of decoder layers",
}
"""Parts of the experiment that must be equal, in words."""


class NotComparable(BaselineError):
    """Two runs that were different experiments, or have no samples in common."""

    def __init__(self, base: str, name: str, reasons: list[str]) -> None:
        what = "; ".join(reasons)
        super().__init__(
            f"two runs of one experiment, got {what} ({base} against {name}); run both with the "
            "same questions, images, --input, --patches, --follow and --window"
        )
        self.reasons = reasons


def require_comparable(base: RunValues, other: RunValues) -> None:
    """Refuse to compare runs that were different experiments.

    Raises:
        NotComparable: Prompt, processor, data or window differ; every difference is named.
    """
    reasons = [*_experiments(base, other), *_data(base, other)]
    if reasons:
        raise NotComparable(base.name, other.name, reasons)


def unrecorded(base: RunValues, other: RunValues) -> list[str]:
    """Parts of the experiment that one of the runs has not recorded, so that nobody can compare."""
    return [
        name
        for name in ("prompt", "pixels")
        if not (base.experiment.get(name) and other.experiment.get(name))
    ]


def _experiments(base: RunValues, other: RunValues) -> Iterator[str]:
    for name, words in _KNOWN.items():
        mine, theirs = _asked(base, name), _asked(other, name)
        # What an older run has not recorded cannot be said to differ.
        if mine not in (None, "") and theirs not in (None, "") and mine != theirs:
            yield f"another {words}: {mine} against {theirs}"


def _asked(run: RunValues, name: str) -> object:
    return run.follow if name == "follow" else run.experiment.get(name)


def _data(base: RunValues, other: RunValues) -> Iterator[str]:
    mine, theirs = base.data, other.data
    if mine and theirs and mine != theirs:
        yield f"other data: {mine[:24]} against {theirs[:24]}"
        return
    common = conflicting = 0
    for task, answers in other.answers.items():
        known = base.answers.get(task, {})
        for question_id in answers.keys() & known.keys():
            common += 1
            conflicting += answers[question_id]["sample"] != known[question_id]["sample"]
    if conflicting:
        yield f"other data: {conflicting} of {common} questions with the same id differ in content"
    elif base.answers and other.answers and not common:
        yield "other data: no sample in common"


def refuse_limited(base: RunValues, other: RunValues) -> None:
    """Refuse a blessed baseline that was made of a part of the samples.

    It may serve runs of the very same part.

    Raises:
        NotComparable: It is stamped with a limit, and the run has another one.
    """
    if base.limit and base.limit != other.limit:
        stamp = f"a baseline stamped --limit={base.limit}, which is none for all samples"
        raise NotComparable(base.name, other.name, [stamp])


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
    def is_known(self) -> bool:
        """Whether one of the runs has any sample of the task."""
        counts = self.counts
        return bool(counts.both or counts.base_only or counts.tuned_only or counts.neither)

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

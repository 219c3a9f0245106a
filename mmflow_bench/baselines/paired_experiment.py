"""Whether two runs asked the same thing: if not, no difference between them means anything."""

from __future__ import annotations

from collections.abc import Iterator

from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.errors import BaselineError

_KNOWN = {
    "prompt": "prompt (words or tokens around the question)",
    "pixels": "image processor (size, crop, mean or tiles)",
    "input": "input (--input=paper|hub)",
    "conversation": "conversation template",
    "patches": "rule of related patches (--patches)",
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

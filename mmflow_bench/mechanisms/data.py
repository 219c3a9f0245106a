"""What questions a checkpoint is asked: the reading `data(flow, task)`.

Everything here is counted, so that no interval stands beside it. It is counted over all questions
of the file, whatever --limit and --tasks select.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmflow_bench.inputs.published_ids import published_ids
from mmflow_bench.inputs.samples import Sample, Unscored
from mmflow_bench.mechanisms.verdicts import NotApplicable

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.estimates import Estimate
    from mmflow_bench.mechanisms.flow import Flow

NOT_NAMED = "option-not-in-question"
"""The reason for which a question is refused that does not name its options."""
MOST = 0.5
"""A file with more of its questions among the paper's is a copy of them, or of a part of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The questions of some tasks."""

    flow: Flow
    name: str
    questions: tuple[Sample | Unscored, ...]

    @property
    def is_published(self) -> bool:
        """Whether these are the questions of the paper, all of them or not."""
        known = sum(one.question_id in published_ids() for one in self.questions)
        return known > MOST * len(self.questions)

    def require_published(self) -> Data:
        """Refuse other questions than the paper's: its numbers are not of them.

        Raises:
            NotApplicable: They are others.
        """
        if not self.is_published:
            raise NotApplicable("these questions are not the paper's (`--questions=gqa` are)")
        return self

    def require_unselected(self) -> Data:
        """Refuse the paper's questions: they were selected by the answers to them.

        Raises:
            NotApplicable: They are the paper's.
        """
        if self.is_published:
            raise NotApplicable("the paper has kept only questions that were answered correctly")
        return self

    @property
    def count(self) -> Estimate:
        return self._exact(len(self.questions), "questions", unit="count")

    @property
    def with_an_own_image(self) -> Estimate:
        """The share of the questions whose image no other one is about."""
        uses = Counter(one.image_id for one in self.questions)
        alone = sum(uses[one.image_id] == 1 for one in self.questions)
        return self._exact(alone / len(self.questions), "questions with an image of their own")

    @property
    def that_name_their_options(self) -> Estimate:
        """The share, of the questions with two options, that name both."""
        # Those that do not are refused when they are read: there is nothing to knock out.
        refused = sum(
            isinstance(one, Unscored) and one.reason == NOT_NAMED for one in self.questions
        )
        return self._share("questions that name both options", names_both, others=refused)

    @property
    def that_end_in_an_option(self) -> Estimate:
        """The share, of the questions with two options, whose last words are one of them."""
        return self._share("questions that end in an option", ends_in_one)

    def _share(self, what: str, is_so: Callable[[Sample], bool], *, others: int = 0) -> Estimate:
        usable = [one for one in self.questions if isinstance(one, Sample) and _options(one)]
        if not usable:
            raise NotApplicable(f"no question of {self.name} has two options")
        return self._exact(sum(map(is_so, usable)) / (len(usable) + others), what)

    def _exact(self, value: float, what: str, *, unit: str = "fraction") -> Estimate:
        images = len({one.image_id for one in self.questions})
        count = len(self.questions)
        return self.flow.exact(value, f"{what} on {self.name}", count, images, unit=unit)


def data(flow: Flow, *tasks: str) -> Data:
    """The questions of some tasks, in the file that the checkpoint is asked from.

    Raises:
        NotApplicable: It has none of them.
    """
    return Data(flow=flow, name=", ".join(tasks), questions=flow.questions(*tasks))


def names_both(sample: Sample) -> bool:
    question = sample.question.casefold()
    return all(option in question for option in _options(sample))


def ends_in_one(sample: Sample) -> bool:
    question = sample.question.casefold().rstrip("?. ")
    return any(question.endswith(f" {option}") for option in _options(sample))


def _options(sample: Sample) -> tuple[str, ...]:
    if sample.true_option is None or sample.false_option is None:
        return ()
    return sample.true_option.casefold(), sample.false_option.casefold()

"""Which samples of a question file a run looks at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from itertools import chain

from mmflow_bench.errors import MechanismError, SelectionError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import UNKNOWN_TASK, Sample, Unscored, sample_fingerprint
from mmflow_bench.measurements.limits import Limit, by_image, selected
from mmflow_bench.measurements.order import END, Order, place_of
from mmflow_bench.measurements.records import FEW_IMAGES
from mmflow_bench.names import matches

PART = 3
"""Of so many images one is looked at for a second opinion, of two where they would be few."""
FEWEST_OF_PART = 4
"""Images, where a task has as many."""
SHOWN_MESSAGES = 3
"""Full explanations of samples that are left out which people are shown."""


class SampleSet:
    """The selected samples by task, each with its content hash and its counterfactual donor."""

    def __init__(
        self,
        file: QuestionFile,
        *,
        tasks: Sequence[str] = (),
        limit: Limit | None = None,
        seed: int | None = None,
    ) -> None:
        self.known_tasks = file.tasks
        """Every task of the questions, whether it is selected or not."""
        self._file = file
        self.by_task = selected(file, tasks=tasks, limit=limit, seed=seed)
        chosen = [sample for members in self.by_task.values() for sample in members]
        if file.source is not None:
            file.source.prepare({sample.image_id for sample in chosen})
        self._donors = self.by_task
        self._known_donors: dict[tuple[str, str], Sample | None] = {}
        self._places: dict[str, dict[str, int]] = {}
        # A row that cannot be read may not even say which task it belongs to.
        self.unreadable = tuple(
            bad for bad in file.unscored if bad.task == UNKNOWN_TASK or matches(bad.task, tasks)
        )
        self.fingerprint = file.fingerprint
        self.keys = {sample.question_id: sample_fingerprint(sample) for sample in chosen}
        self.orders: dict[str, Order] = {}
        """Of each task, where more and more of its samples are looked at."""
        self._seed = seed
        self.lock = ""
        """Tells these samples from others that another process may measure at the same time."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(task for task, members in self.by_task.items() if members)

    def questions(self, task: str) -> tuple[Sample | Unscored, ...]:
        """Every question of a task in the file, whatever is selected of it."""
        every: list[Sample | Unscored] = [*self._file.samples, *self._file.unscored]
        return tuple(one for one in every if one.task == task)

    def of(self, task: str) -> tuple[Sample, ...]:
        """The samples of a task.

        Raises:
            MechanismError: There are none.
        """
        if not self.by_task.get(task):
            raise MechanismError(
                f"a task that has samples ({', '.join(self.tasks) or 'there are none'}), got "
                f"{task!r}; check --tasks, --limit and the question file"
            )
        return self.by_task[task]

    def donor(self, task: str, sample: Sample) -> Sample | None:
        """The next sample of the task, cyclically, with another image and another answer.

        One whose image has the same size comes first: values are exchanged position by position,
        and where tiles follow the image's shape another size has other positions.
        """
        # Every table asks for all of them again.
        key = (task, sample.question_id)
        if key not in self._known_donors:
            self._known_donors[key] = self._donor(task, sample)
        return self._known_donors[key]

    def _donor(self, task: str, sample: Sample) -> Sample | None:
        members, first = self._donors[task], None
        if task not in self._places:
            self._places[task] = {one.question_id: i for i, one in enumerate(members)}
        start = self._places[task][sample.question_id]
        # Looked at one by one: of many samples, one of the first will do.
        for other in chain(members[start + 1 :], members[:start]):
            if (
                other.image is None
                or other.image_id == sample.image_id
                or other.answer == sample.answer
            ):
                continue
            if _size(other) == _size(sample):
                return other
            first = first or other
        return first

    def images(self, task: str) -> int:
        """How many images a task has."""
        return len({sample.image_id for sample in self.by_task.get(task, ())})

    def first(self, images: Mapping[str, int], *, looks: int) -> SampleSet:
        """The samples of so many images of each task, by a random order that is always the same.

        Samples are put in order by a hash of their content, and images come as their first sample
        does. So the samples that are at hand up to the first that is not are a simple random
        sample of the task, however many of them an image has. Donors are those of the whole.

        Args:
            images: Task -> how many of its images.
            looks: How many looks share an error rate, before the one at everything.
        """
        part = copy(self)
        part.by_task, part.orders = {}, {}
        for task, count in images.items():
            members = self.by_task.get(task, ())
            ordered = sorted((self._place(one), one.question_id, one.image_id) for one in members)
            known = dict.fromkeys(image for *_, image in ordered)
            chosen = frozenset(list(known)[:count])
            missing = next((place for place, _, image in ordered if image not in chosen), END)
            part.by_task[task] = tuple(one for one in members if one.image_id in chosen)
            part.orders[task] = Order(
                samples=tuple((place, one) for place, one, _ in ordered if place < missing),
                missing=missing,
                of=len(members),
                seen=len(chosen) / max(1, len(known)),
                looks=looks,
            )
        return part

    def as_far_as(self, orders: Mapping[str, Order]) -> SampleSet:
        """As many images of each task as another checkpoint has been asked about."""
        images = {task: round(one.seen * self.images(task)) for task, one in orders.items()}
        return self.first(images, looks=max(one.looks for one in orders.values()))

    def _place(self, sample: Sample) -> str:
        return place_of(self.keys[sample.question_id], self._seed)

    def among(self, images: Collection[str], *, lock: str) -> SampleSet:
        """The samples of some images, whatever the task; donors are those of the whole.

        Args:
            images: Ids of images, some of which may have no sample here.
            lock: What tells these images from those of other processes.
        """
        part = copy(self)
        part.by_task = {
            task: tuple(one for one in members if one.image_id in images)
            for task, members in self.by_task.items()
        }
        part.orders, part.lock = {}, lock
        return part

    def part(self) -> SampleSet:
        """The samples of every third image of each task, or of every second where they are few.

        There are four images at least, as far as the task has as many. Donors are those of the
        whole, so that a sample's rows are the same in both.
        """
        part = copy(self)
        part.by_task = {task: _part_of(members) for task, members in self.by_task.items()}
        part.orders = {}
        return part


def unusable(samples: SampleSet) -> SelectionError:
    """Why there is nothing to measure, with the reason of every row and one of them in full."""
    counts = Counter(bad.reason for bad in samples.unreadable)
    rows = f"none of {counts.total()} rows ({in_words(counts)})" if counts else "no row at all"
    first = f": {samples.unreadable[0].message}" if counts else "; check --questions"
    return SelectionError(f"questions that can be used, got {rows}{first}")


def in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))


def _part_of(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    images = list(by_image(samples))
    step = PART if len(images) >= PART * FEW_IMAGES else PART - 1
    step = max(1, min(step, len(images) // FEWEST_OF_PART))
    # One of each `step` in a row, at a place that moves on: answers that take turns all occur.
    chosen = frozenset(one for i, one in enumerate(images) if i % step == i // step % step)
    return tuple(sample for sample in samples if sample.image_id in chosen)


def _size(sample: Sample) -> tuple[int | None, int | None]:
    return sample.image_width, sample.image_height

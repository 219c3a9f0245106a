"""Samples are measured until every mechanism is decided, and no further.

All samples have one random order that was fixed before any was looked at. Each mechanism is asked
at one look after the other, each on more of its tasks' images, and keeps the first decision that it
reaches: which look that is depends on nothing but its own samples, so that every process finds the
same by itself. What is measured next is what the mechanisms need that are still open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmflow_bench.errors import NotStoredError
from mmflow_bench.measurements.order import Order
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.comparisons import Comparison, Recorder, current_recorder
from mmflow_bench.mechanisms.declaring import Declaration, require_applicable
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.looks import FIRST, looks_of
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.measuring import Planned, PlannedMeasurements, asked_of_tasks
from mmflow_bench.mechanisms.verdicts import Verdict, verdict_of
from mmflow_bench.mechanisms.watching import Reads

OPEN = frozenset({Verdict.INCONCLUSIVE, Verdict.PRECONDITION_FAILED})
"""What more samples may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One test of a mechanism on one checkpoint."""

    name: str
    """Of the test, unique in the run."""
    declared: Declaration
    reads: Reads
    is_asked_again: bool
    """Whether its verdict is asked again by other methods."""
    run: Callable[[Flow], object]

    @property
    def tasks(self) -> frozenset[str]:
        return frozenset(self.reads.wants)


class Looking:
    """The looks at one checkpoint: which of them decides a mechanism, and what is measured for it.

    `tell` is told how many mechanisms are open, and about how many images more they need.
    """

    def __init__(
        self,
        whole: PlannedMeasurements,
        questions: Sequence[Question],
        *,
        alpha: float,
        others: Callable[[int], Mapping[str, Measured]],
        tell: Callable[[str], None],
    ) -> None:
        self.whole = whole
        self._questions = {one.name: one for one in questions}
        self._alpha = alpha
        self._others = others
        self.tell = tell
        samples = whole.opened.samples
        self._images = {task: samples.images(task) for task in samples.tasks}
        self.looks = looks_of(max(self._images.values(), default=1))
        self._at: dict[int, PlannedMeasurements] = {}
        self._decided: dict[str, int] = {}
        self.cut_short: set[str] = set()
        """Tests that were open where the store went no further, with `--from-cache`."""
        self.compared: dict[str, Order] = {}
        """Task -> how far its samples were gone through for the sake of a baseline."""

    def at(self, number: int) -> PlannedMeasurements:
        """The measurements on what is looked at; the last look is at everything."""
        if number not in self._at:
            self._at[number] = self.on(self.first(number, self._images))
        return self._at[number]

    def first(self, number: int, tasks: Iterable[str]) -> dict[str, int]:
        """Task -> how many of its images a look is at."""
        return {task: min(self.looks[number].images, self._images[task]) for task in tasks}

    def on(self, first: Mapping[str, int]) -> PlannedMeasurements:
        """The measurements on so many images of some tasks, of which nothing is planned."""
        return on_first(self.whole, first, looks=self.looks[0].looks)

    def look_for(self, name: str) -> int:
        """The number of the look that a test is decided at; measures until it is.

        A test that is not known, since it needs more than a flow, looks at all samples.
        """
        question = self._questions.get(name)
        if question is None:
            return len(self.looks) - 1
        if name not in self._decided:
            group = [one for one in self._questions.values() if one.tasks == question.tasks]
            self._decide(group)
        return self._decided[name]

    def flow(self, number: int, minimum_accuracy: float | None) -> Flow:
        """The flow of one look."""
        return Flow(
            GuardedMeasurements(self.at(number), minimum_accuracy),
            alpha=self._alpha,
            others=self._others(number),
            look=self.looks[number],
        )

    def wants_compared(self, task: str) -> tuple[Want[object], ...]:
        """What the selected tests read of a task that is compared with a baseline.

        The same in every process, whichever tests it has run.
        """
        asked = (want for one in self._questions.values() for want in one.reads.wants.get(task, ()))
        return tuple(dict.fromkeys(want for want in asked if want.is_compared))

    def closing(self) -> PlannedMeasurements:
        """Everything that was read, of the last look at each task."""
        closing = self.on(self._reached())
        closing.compared = self.compared
        for _, at in sorted(self._at.items()):
            closing.take(at)
        return closing

    def last_looks(self) -> dict[str, int]:
        """Task -> the number of the last look at it, of those that were looked at."""
        last: dict[str, int] = {}
        for number, at in sorted(self._at.items()):
            last |= dict.fromkeys(at.counts, number)
        return last

    def _reached(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for task, number in self.last_looks().items():
            found |= self.first(number, [task])
        return found

    def reached(self) -> tuple[int, int]:
        """Images that were looked at, over all tasks that were, and how many these have."""
        first = self._reached()
        return sum(first.values()), sum(self._images[task] for task in first)

    def used(self) -> Iterator[tuple[int, int]]:
        """How many of how many images each decided test has looked at."""
        for name, number in self._decided.items():
            tasks = self._questions[name].tasks & self._images.keys()
            at_hand = [min(self.looks[number].images, self._images[task]) for task in tasks]
            yield sum(at_hand), sum(self._images[task] for task in tasks)

    def decide(self, ahead: Callable[[PlannedMeasurements, Mapping[str, Planned]], None]) -> None:
        """Decide all mechanisms, each at the look that `look_for` finds.

        Args:
            ahead: Told before each look what is read next, and of which samples.
        """
        groups: dict[frozenset[str], list[Question]] = {}
        for one in self._questions.values():
            groups.setdefault(one.tasks, []).append(one)
        waiting = list(groups.values())
        for number in range(len(self.looks)):
            asked = asked_of_tasks((one.reads, False) for group in waiting for one in group)
            ahead(self._of(number, asked), asked)
            waiting = [rest for group in waiting if (rest := self._look(group, number))]
            if not waiting:
                return

    def second_opinions(self) -> Iterator[tuple[PlannedMeasurements, Mapping[str, Planned]]]:
        """Of each look at which mechanisms were decided: what is asked again, of which samples."""
        for number, at in sorted(self._at.items()):
            planned = {task: at.planned(task) for task in at.tasks}
            asked = {task: one for task, one in planned.items() if one.second_opinions}
            if asked:
                yield self._of(number, asked), asked

    def _of(self, number: int, tasks: Iterable[str]) -> PlannedMeasurements:
        """What a look is at, of those of some tasks that have samples."""
        return self.on(self.first(number, [task for task in tasks if task in self._images]))

    def _decide(self, group: Sequence[Question]) -> None:
        """Ask some mechanisms of the same tasks at one look after the other."""
        for number in range(len(self.looks)):
            group = self._look(group, number)
            if not group:
                return

    def _look(self, waiting: Sequence[Question], number: int) -> list[Question]:
        """Ask some mechanisms of the same tasks at one look; those that it does not decide."""
        at = self.at(number)
        at.extend(asked_of_tasks((one.reads, False) for one in waiting))
        try:
            ended = {one.name: self._verdict(one, number) for one in waiting}
        except NotStoredError:
            # What is known whenever one ends is known where the store does: at the look before.
            self.cut_short |= {one.name for one in waiting}
            if number not in self._decided.values():
                del self._at[number]
            self._close(waiting, number - 1)
            return []
        open_ = {name: needed for name, (verdict, needed) in ended.items() if verdict in OPEN}
        watched = {name for name, (verdict, _) in ended.items() if verdict is Verdict.REPORT}
        if not open_ or self.looks[number].is_last:
            # Of what is only observed nothing is asked: it is what the others have needed.
            self._close(waiting, number)
            return []
        self.tell(self._progress(open_, number))
        rest = open_.keys() | watched
        self._close([one for one in waiting if one.name not in rest], number)
        return [one for one in waiting if one.name in rest]

    def _close(self, closed: Sequence[Question], number: int) -> None:
        self._decided |= {one.name: number for one in closed}
        self.at(number).extend(asked_of_tasks((one.reads, one.is_asked_again) for one in closed))

    def _verdict(self, question: Question, number: int) -> tuple[Verdict | None, int]:
        """How a test ends at a look, and how many images it may need.

        None for a crash, which its own run will show.

        Raises:
            NotStoredError: The store goes as far as the look before, and may be read only.
        """
        recorder = Recorder()
        token = current_recorder.set(recorder)
        verdict: Verdict | None = Verdict.HOLDS
        try:
            flow = self.flow(number, question.declared.minimum_accuracy)
            require_applicable(question.declared, flow)
            question.run(flow)
        except Exception as error:  # Of any kind: the test is run again where it counts.
            if number and isinstance(error, NotStoredError):
                raise
            verdict = verdict_of(error)
        finally:
            current_recorder.reset(token)
        return verdict, self._needed(recorder.deciding, number)

    def _needed(self, deciding: Comparison | None, number: int) -> int:
        """About how many images a decision takes: p-values fall as powers of their number."""
        most = self.looks[-1].images
        p = deciding.tested if deciding is not None else None
        if p is None or p >= 1:
            return most
        factor = math.log(self._alpha) / math.log(max(p, 1e-300))
        return min(most, math.ceil(self.looks[number].images * max(1.0, factor)))

    def _progress(self, waiting: Mapping[str, int], number: int) -> str:
        at = self.looks[number].images
        count = len(waiting)
        more = max(waiting.values()) - at
        return f"{count} open at {at} images of a task, about {max(more, FIRST // 2)} more"


def on_first(
    whole: PlannedMeasurements, first: Mapping[str, int], *, looks: int
) -> PlannedMeasurements:
    """A checkpoint's measurements on so many images of some tasks, in the random order."""
    return whole.on(whole.opened.samples.first(first, looks=looks))


def said_of(looking: Looking) -> str:
    """How much was looked at until everything was decided, in a line; nothing where nothing was."""
    used = [(at_hand, of) for at_hand, of in looking.used() if of]
    if not used:
        return ""
    shares = [at_hand / of for at_hand, of in used]
    reached, of = looking.reached()
    said = (
        f"{len(used)} mechanisms looked at {sum(shares) / len(shares):.0%} of the images on "
        f"average ({min(shares):.0%} to {max(shares):.0%}); measured were {reached} of {of} "
        "images, task by task"
    )
    if looking.cut_short:
        said += f"; open where the store ends (--from-cache): {len(looking.cut_short)}"
    return said

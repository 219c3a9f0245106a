"""Measurements as the tests of one run see them: planned ahead, and read once for all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mmflow_bench.inputs.samples import Sample, Unscored
from mmflow_bench.measurements.order import Order
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.wants import Want, resolved
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.verdicts import MINIMUM_ACCURACY
from mmflow_bench.mechanisms.watching import Reads

Table = TypeVar("Table")
Tables = dict[tuple[str, Want[object]], object]
"""(task, want) -> what it tells."""


class Bar(Protocol):
    """What shows how far a measurement is; closed whenever one has ended."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Planned:
    """What the selected tests read of one task of one checkpoint."""

    wants: tuple[Want[object], ...] = ()
    second_opinions: tuple[Want[object], ...] = ()
    """The same by other methods, of the tests whose verdicts are asked again; and what tests ask of
    these by themselves."""


def asked_of_tasks(tests: Iterable[tuple[Reads, bool]]) -> dict[str, Planned]:
    """What some tests together ask of each task.

    Args:
        tests: What each reads, and whether its verdict is asked again by other methods.
    """
    wants: dict[str, dict[Want[object], None]] = {}
    again: dict[str, dict[Want[object], None]] = {}
    for reads, is_asked_again in tests:
        for task, read in reads.wants.items():
            wants.setdefault(task, {}).update(dict.fromkeys(read))
        for task, read in reads.second_opinions.items() if is_asked_again else ():
            again.setdefault(task, {}).update(dict.fromkeys(read))
        for task, read in reads.of_part.items():
            again.setdefault(task, {}).update(dict.fromkeys(read))
    return {
        task: Planned(tuple(wants.get(task, ())), tuple(again.get(task, ())))
        for task in wants | again
    }


class PassedOn:
    """What is the same seen through a plan, a guard or a part, of the measurements below.

    Named one by one, and only what needs no precondition: a new method has to be thought about
    where it is guarded, and cannot slip by.
    """

    def __init__(self, below: Measured) -> None:
        self._below = below

    @property
    def paper_model(self) -> str | None:
        return self._below.paper_model

    @property
    def lenses(self) -> tuple[str, ...]:
        return self._below.lenses

    @property
    def tasks(self) -> tuple[str, ...]:
        return self._below.tasks

    @property
    def known_tasks(self) -> tuple[str, ...]:
        return self._below.known_tasks

    @property
    def decoder_layers(self) -> int:
        return self._below.decoder_layers

    @property
    def width(self) -> int:
        return self._below.width

    @property
    def noise_floor(self) -> float:
        return self._below.noise_floor

    # What is asked, and how many answers are correct, is known without any mechanism: there is
    # nothing to guard.
    def questions(self, task: str) -> tuple[Sample | Unscored, ...]:
        return self._below.questions(task)

    def accuracy(self, task: str) -> AnswerCount:
        return self._below.accuracy(task)

    def order(self, task: str) -> Order | None:
        return self._below.order(task)

    def refusals(self, task: str) -> Mapping[str, Mapping[str, int]]:
        return self._below.refusals(task)


class PlannedMeasurements(PassedOn):
    """One checkpoint's measurements; the first use of a task measures all that the plan needs.

    `is_alone` says that no other process measures for the run.
    """

    def __init__(
        self,
        measurements: Measurements,
        *,
        plan: Mapping[str, Planned],
        window: int | None,
        bar: Bar,
        is_alone: bool = False,
    ) -> None:
        super().__init__(measurements)
        self.opened = measurements
        self._plan = dict(plan)
        self._window = window
        self._bar = bar
        self._is_alone = is_alone
        self._begun: set[str] = set()
        self._complete: set[str] = set()
        self._second: SecondOpinions | None = None
        self.counts: dict[str, AnswerCount] = {}
        """Answers of every task that was looked at."""
        self.tables: Tables = {}
        """Every table that a test has read, by the want as the test has put it."""
        self.compared: Mapping[str, Order] = {}
        """Task -> the order in which its samples were compared with a baseline's."""

    def on(self, samples: SampleSet) -> PlannedMeasurements:
        """The same of other samples, of which nothing is planned yet."""
        return PlannedMeasurements(
            self.opened.on(samples),
            plan={},
            window=self._window,
            bar=self._bar,
            is_alone=self._is_alone,
        )

    def take(self, other: PlannedMeasurements) -> None:
        """Hold what another has read of other samples, as if it had been read here."""
        self.tables |= other.tables
        self.counts |= other.counts
        if other.part_tables:
            self.part().tables |= other.part_tables

    @property
    def width(self) -> int:
        """Width of a window: what --window says, or what scales with the depth."""
        return self._window or self.opened.width

    def accuracy(self, task: str) -> AnswerCount:
        if task not in self.counts:
            # Among several processes the one that counts answers need not be the one with the
            # tests of the task.
            if self._is_alone:
                self.begin(task)
            with closing(self._bar):
                self.counts[task] = self.opened.accuracy(task)
        return self.counts[task]

    def begin(self, task: str) -> None:
        """Ask every sample of a task once: for its answer, and for all that is planned.

        What is planned stops once the task cannot be mastered any more.
        """
        if task not in self._begun:
            self._begun.add(task)
            with closing(self._bar):
                wants = self.resolved(self.planned(task).wants)
                self.opened.ensure(task, wants, minimum_accuracy=MINIMUM_ACCURACY)

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        """Measure what is missing: everything planned for the task, then what is asked for."""
        with closing(self._bar):
            if task not in self._complete:
                self._complete.add(task)
                self.opened.ensure(task, self.resolved(self.planned(task).wants))
            self.opened.ensure(task, self.resolved(wants))

    def table(self, task: str, want: Want[Table]) -> Table:
        """What a want tells of a task, read once for all tests."""
        if (task, want) not in self.tables:
            self.ensure(task, [want])
            self.tables[task, want] = self.opened.table(task, self.asked(want))
        found: Table = self.tables[task, want]  # type: ignore[assignment]
        return found

    def part(self) -> SecondOpinions:
        """Part of the same samples, for the other methods of knocking out."""
        if self._second is None:
            self._second = SecondOpinions(self, self._bar)
        return self._second

    @property
    def part_tables(self) -> Tables:
        """What second opinions have read."""
        return self._second.tables if self._second is not None else {}

    def extend(self, plan: Mapping[str, Planned]) -> None:
        """Add to the plan; what it lacks of a task is measured when the task is next used."""
        for task, new in plan.items():
            known = self.planned(task)
            self._plan[task] = Planned(
                tuple(dict.fromkeys((*known.wants, *new.wants))),
                tuple(dict.fromkeys((*known.second_opinions, *new.second_opinions))),
            )
            self._begun.discard(task)
            self._complete.discard(task)
        if self._second is not None:
            self._second.plan_again(plan)

    def planned(self, task: str) -> Planned:
        return self._plan.get(task, Planned())

    def resolved(self, wants: Collection[Want[object]]) -> tuple[Want[object], ...]:
        """Wants with the width of this run; nothing is asked of the checkpoint without any."""
        if not wants:
            return ()
        return resolved(wants, width=self.width, layers=self.decoder_layers)

    def asked(self, want: Want[Table]) -> Want[Table]:
        """A want with the width of this run."""
        return want.scaled(self.decoder_layers).at(self.width)


class SecondOpinions(PassedOn):
    """What the other methods of knocking out are asked: part of the samples, a task at once.

    Whatever else a mechanism reads is that of the whole, which has been read already.
    """

    def __init__(self, whole: PlannedMeasurements, bar: Bar) -> None:
        super().__init__(whole)
        self._whole = whole
        self._opened = whole.opened.part()
        self._bar = bar
        self._ready: set[str] = set()
        self.tables: Tables = {}

    def plan_again(self, tasks: Iterable[str]) -> None:
        """Look again at what is planned of some tasks."""
        self._ready.difference_update(tasks)

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        if task not in self._ready:
            self._ready.add(task)
            with closing(self._bar):
                planned = self._whole.planned(task).second_opinions
                self._opened.ensure(task, self._whole.resolved(planned))
        if wants:
            self._opened.ensure(task, self._whole.resolved(wants))

    def table(self, task: str, want: Want[Table]) -> Table:
        """What a want tells of part of the samples."""
        if not want.is_second_opinion:
            return self._whole.table(task, want)
        if (task, want) not in self.tables:
            self.ensure(task)
            self.tables[task, want] = self._opened.table(task, self._whole.asked(want))
        found: Table = self.tables[task, want]  # type: ignore[assignment]
        return found

    def refusals(self, task: str) -> Mapping[str, Mapping[str, int]]:
        return self._opened.refusals(task)

    def part(self) -> SecondOpinions:
        return self

"""What `mmflow measure` asks of the samples, as rounds: all of them, then part by other methods.

Or, where it ends when all is decided, more and more of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.sharding import Slice, dealt
from mmflow_bench.measurements.wants import Want, resolved
from mmflow_bench.mechanisms.declared import DeclaredTest
from mmflow_bench.mechanisms.looking import Looking, Question
from mmflow_bench.mechanisms.measuring import Bar, Planned, PlannedMeasurements, asked_of_tasks
from mmflow_bench.mechanisms.watching import called, watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is asked of some samples; a round may read what the one before it has measured."""

    label: str
    measurements: Measurements
    wants: Mapping[str, tuple[Want[object], ...]]
    """By task."""

    def measure(self) -> None:
        for task in self.measurements.tasks:
            self.measurements.ensure(task, self.wants[task])


def planned_by(tests: Iterable[DeclaredTest], measurements: Measurements) -> dict[str, Planned]:
    """What some tests read of each task of a checkpoint."""
    return asked_of_tasks(
        (reads, test.declaration.is_asked_again(twins=measurements.settings.twins))
        for test in tests
        if test.declaration.is_about(measurements.paper_model)
        for reads in watched(test)
    )


def rounds_of(measurements: Measurements, planned: Mapping[str, Planned]) -> list[Round]:
    """Everything that is planned of a checkpoint."""
    width = measurements.settings.window or measurements.width
    layers = measurements.decoder_layers
    plan = {task: planned.get(task, Planned()) for task in measurements.tasks}

    def by_task(wants: Mapping[str, Sequence[Want[object]]]) -> dict[str, tuple[Want[object], ...]]:
        return {task: resolved(asked, width=width, layers=layers) for task, asked in wants.items()}

    first = by_task({task: one.wants for task, one in plan.items()})
    rounds = [Round(label="all samples", measurements=measurements, wants=first)]
    if any(one.second_opinions for one in plan.values()):
        again = by_task({task: one.second_opinions for task, one in plan.items()})
        part = measurements.part()
        rounds.append(Round(label="second opinions", measurements=part, wants=again))
    return rounds


def decided(
    tests: Iterable[DeclaredTest],
    measurements: Measurements,
    *,
    alpha: float,
    measure: Callable[[Round], None],
    bar: Bar,
    tell: Callable[[str], None],
) -> Looking:
    """Measure more and more samples, until every mechanism is decided or none is left.

    Args:
        tests: Of the mechanisms.
        measurements: Of all samples, of a checkpoint whose facts are known.
        alpha: Error rate, whenever it ends.
        measure: Measures what a round lacks.
        bar: Closed whenever something has been read.
        tell: Told how many mechanisms are open.

    Returns:
        The looks that have decided them, those that `--stat=anytime` finds by itself.
    """
    settings = measurements.settings
    whole = PlannedMeasurements(measurements, plan={}, window=settings.window, bar=bar)
    looking = Looking(
        whole,
        list(_questions(tests, measurements)),
        alpha=alpha,
        others=lambda _: {},
        tell=tell,
    )

    def ahead(at: PlannedMeasurements, asked: Mapping[str, Planned]) -> None:
        images = sum(at.opened.samples.images(task) for task in at.tasks)
        wants = {task: at.resolved(asked[task].wants) for task in at.tasks}
        measure(Round(label=f"first {images} images", measurements=at.opened, wants=wants))

    looking.decide(ahead)
    for at, asked in looking.second_opinions():
        again = {task: at.resolved(asked[task].second_opinions) for task in at.tasks}
        measure(Round(label="second opinions", measurements=at.opened.part(), wants=again))
    return looking


def _questions(tests: Iterable[DeclaredTest], measurements: Measurements) -> Iterator[Question]:
    for test in tests:
        about = test.declaration
        if not about.is_about(measurements.paper_model):
            continue
        for case, reads in zip(test.cases, watched(test), strict=True):
            yield Question(
                name=f"{about.id}{dict(case)}",
                declared=about,
                reads=reads,
                is_asked_again=about.is_asked_again(twins=measurements.settings.twins),
                run=partial(called, test.function, case),
            )


def slice_of(rounds: Sequence[Round], part: Slice) -> list[Round]:
    """The same of one part of the images, all samples of an image in the same."""
    parts = dealt(costs_of(rounds), part.of)
    chosen = parts[part.number - 1] if part.number <= len(parts) else frozenset()
    return [
        Round(
            label=one.label,
            measurements=one.measurements.on(
                one.measurements.samples.among(chosen, lock=f"-{part}")
            ),
            wants=one.wants,
        )
        for one in rounds
    ]


def costs_of(rounds: Sequence[Round]) -> dict[str, int]:
    """Image -> how much is asked about it: an answer and a pass for each want of each sample."""
    costs: Counter[str] = Counter()
    for one in rounds:
        for task in one.measurements.tasks:
            for sample in one.measurements.samples.of(task):
                costs[sample.image_id] += 1 + len(one.wants[task])
    return dict(costs)

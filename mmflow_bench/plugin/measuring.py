"""Measurements as the tests of one run see them: planned ahead, and refused below a precondition.

A knockout says where the answer came from only when there was an answer. So the share of correct
answers is looked at first (MECHANISMS `acc-95`; paper, Sec. 4: only correctly answered questions
are intervened on), and a task that the checkpoint does not master has no verdict.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mmflow_bench.interventions.knockout import TWINS
from mmflow_bench.mechanisms.verdicts import NotApplicable, PreconditionFailed
from mmflow_bench.plugin.planning import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmflow_bench.measurements.records import AnswerCount, LensTable, SweepTable
    from mmflow_bench.reports.progress import MeasuringBar

MINIMUM_ACCURACY = 0.90
"""Share of scored samples that must be answered correctly before a mechanism is looked at."""


class PlannedMeasurements:
    """One checkpoint's measurements; the first use of a task measures all that the plan needs."""

    def __init__(
        self,
        measurements: Any,
        *,
        model: str,
        plan: Plan,
        window: int | None,
        bar: MeasuringBar,
        is_alone: bool = False,
    ) -> None:
        """Wrap what `Measurements.open` or a plugin gave.

        Args:
            measurements: Of the checkpoint.
            model: Its slug.
            plan: What the tests of the run will ask for.
            window: Width of a window; scaled with the depth when None.
            bar: Shows what is measured.
            is_alone: Whether no other process measures for this run.
        """
        self._measurements = measurements
        self._model = model
        self._plan = plan
        self._window = window
        self._bar = bar
        self._is_alone = is_alone
        self._begun: set[str] = set()
        self._planned: set[str] = set()
        self.lenses: dict[tuple[str, str, str], LensTable] = {}
        """Every lens table that a test has read."""
        self.counts: dict[str, AnswerCount] = {}
        """Answers of every task that was looked at."""
        self.sweeps: dict[tuple[str, str, int, str], SweepTable] = {}
        """Every sweep that a test has read, for the table of samples."""

    def __getattr__(self, name: str) -> Any:
        """Whatever else the measurements know: name, spec, tasks, decoder_layers, ..."""
        return getattr(self._measurements, name)

    @property
    def width(self) -> int:
        """Width of a window: what --window says, or what scales with the depth."""
        return self._window or int(self._measurements.width)

    @property
    def follow(self) -> str:
        """Whose answer is followed: the checkpoint's own where a plugin's measurements say none."""
        return str(getattr(self._measurements, "follow", "answer"))

    def accuracy(self, task: str) -> AnswerCount:
        """How many samples of a task were answered correctly."""
        if task not in self.counts:
            # Among several processes the one that counts answers need not be the one with the
            # tests of the task.
            if self._is_alone:
                self.begin(task)
            with self._drawing():
                self.counts[task] = self._measurements.accuracy(task)
        return self.counts[task]

    def begin(self, task: str) -> None:
        """Ask every sample of a task once: for its answer, and for all that is planned.

        What is planned stops once the task cannot be mastered any more.
        """
        ensure_mastered = getattr(self._measurements, "ensure_mastered", None)
        if ensure_mastered is None or task in self._begun:
            return
        self._begun.add(task)
        need = self._plan.of(self._model, task)
        with self._drawing():
            ensure_mastered(task, minimum=MINIMUM_ACCURACY, **need.arguments(self.width))

    def ensure(
        self,
        task: str,
        *,
        edges: Collection[str] = (),
        widths: Collection[int] = (),
        methods: Collection[str] = ("masked",),
        lens: bool = False,
        **more: Any,
    ) -> None:
        """Measure what is missing: everything planned for the task, then what is asked for."""
        with self._drawing():
            if task not in self._planned:
                self._planned.add(task)
                self._ensure_planned(task)
            self._measurements.ensure(
                task, edges=edges, widths=widths, methods=tuple(methods), lens=lens, **more
            )

    def sweep(self, task: str, edge: str, *, width: int, method: str = "masked") -> SweepTable:
        """One edge knocked out around every layer."""
        key = (task, edge, width, method)
        if key not in self.sweeps:
            self.ensure(task, edges=(edge,), widths=(width,), methods=(method,))
            self.sweeps[key] = self._measurements.sweep(task, edge, width=width, method=method)
        return self.sweeps[key]

    def lens(self, task: str, *, probe: str, variant: str) -> LensTable:
        """Logit-lens probabilities of one probe."""
        key = (task, probe, variant)
        if key not in self.lenses:
            self.ensure(task, lens=True)
            self.lenses[key] = self._measurements.lens(task, probe=probe, variant=variant)
        return self.lenses[key]

    @cached_property
    def twins(self) -> TwinMeasurements:
        """Part of the same samples, for the other methods of knocking out."""
        return TwinMeasurements(self)

    def ensure_twins(self, part: Any, task: str, *, methods: Collection[str]) -> None:
        """Measure everything that the other methods are planned to be asked about a task."""
        edges = self._plan.of(self._model, task).twins
        with self._drawing():
            part.ensure(task, edges=sorted(edges), widths=(self.width,), methods=methods)

    def _ensure_planned(self, task: str) -> None:
        need = self._plan.of(self._model, task)
        if need.sweeps or need.lens:
            self._measurements.ensure(task, methods=("masked",), **need.arguments(self.width))

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._bar.close()


class TwinMeasurements:
    """What the twins see: part of the samples, all planned edges of a task at once."""

    def __init__(self, planned: PlannedMeasurements) -> None:
        """Take part of the samples of `planned`."""
        self._planned = planned
        self._part = planned.part()
        self._ready: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """Everything else is as for the whole."""
        return getattr(self._planned, name)

    def sweep(self, task: str, edge: str, *, width: int, method: str) -> SweepTable:
        """One edge knocked out around every layer."""
        if task not in self._ready:
            self._planned.ensure_twins(self._part, task, methods=TWINS)
            self._ready.add(task)
        key = (task, edge, width, str(method))
        if key not in self._planned.sweeps:
            table = self._part.sweep(task, edge, width=width, method=method)
            self._planned.sweeps[key] = table
        return self._planned.sweeps[key]


class GuardedMeasurements:
    """The same measurements for one test, which refuse a task below the precondition."""

    def __init__(
        self, measurements: PlannedMeasurements, minimum_accuracy: float = MINIMUM_ACCURACY
    ) -> None:
        """Guard `measurements` for a test that needs this accuracy."""
        self._measurements = measurements
        self._minimum_accuracy = minimum_accuracy

    def __getattr__(self, name: str) -> Any:
        """Everything that needs no precondition."""
        return getattr(self._measurements, name)

    def ensure(self, task: str, **wanted: Any) -> None:
        """Measure what is missing.

        Raises:
            PreconditionFailed: The checkpoint does not master the task.
        """
        self._require(task)
        self._measurements.ensure(task, **wanted)

    def sweep(self, task: str, edge: str, *, width: int, method: str = "masked") -> SweepTable:
        """One edge knocked out around every layer.

        Raises:
            PreconditionFailed: The checkpoint does not master the task.
        """
        self._require(task)
        return self._measurements.sweep(task, edge, width=width, method=method)

    def lens(self, task: str, *, probe: str, variant: str) -> LensTable:
        """Logit-lens probabilities of one probe.

        Raises:
            PreconditionFailed: The checkpoint does not master the task.
        """
        self._require(task)
        return self._measurements.lens(task, probe=probe, variant=variant)

    def _require(self, task: str) -> None:
        if task not in self._measurements.tasks:
            known = ", ".join(self._measurements.tasks) or "none"
            raise NotApplicable(f"no samples of task {task} were selected (there are: {known})")
        self._measurements.begin(task)
        count = self._measurements.accuracy(task)
        if not count.scored:
            reasons = ", ".join(f"{name} {n}" for name, n in sorted(count.unscored.items()))
            raise PreconditionFailed(
                f"{task}: none of {count.selected} samples could be scored ({reasons or 'none'})"
            )
        if self._measurements.follow == "reference":
            return  # Its probability is there to be followed, whatever the answer is.
        if not count.correct or count.accuracy < self._minimum_accuracy:
            raise PreconditionFailed(
                f"{task}: {count.correct} of {count.scored} answers correct "
                f"({count.accuracy:.0%}), {self._minimum_accuracy:.0%} are needed"
            )

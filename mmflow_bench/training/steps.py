"""One measurement of a model in training: its run folder, its numbers, and what has moved."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.baselines.gate import GATE, GateDecision, named
from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_records import FILE, BaselineComparison, Change
from mmflow_bench.baselines.paired_values import read_values
from mmflow_bench.errors import StoreError
from mmflow_bench.interactive.opening import in_memory
from mmflow_bench.interactive.reading import ReadRun, read
from mmflow_bench.interactive.run import Run
from mmflow_bench.interactive.settings import OpenSettings, Options
from mmflow_bench.measurements.selection import SampleSet, unusable
from mmflow_bench.mechanisms.verdicts import Undecided
from mmflow_bench.reports.progress import MeasuringBar
from mmflow_bench.runs.folder import has_results, write_text

_NAME = "step-{:06d}"
PREFIX = "flow"
"""Before every number, where a trainer logs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A model after so many steps of its training."""

    step: int
    folder: Path
    """Of its run, for `mm.read`."""
    numbers: Mapping[str, float]
    """Name -> number, as they are logged."""
    drift: tuple[str, ...] = ()
    """What has left its tolerance since the first measurement, each in a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is measured of a model, whenever it is."""

    edges: tuple[str, ...]
    mechanisms: tuple[str, ...]
    tolerance: Mapping[str, float]
    settings: OpenSettings
    options: Options


class Steps:
    """Measures a model again and again on the same samples, each time into a folder of its own."""

    def __init__(self, folder: Path, asked: Asked) -> None:
        self._folder, self._asked = folder, asked
        self._samples: SampleSet | None = None

    @property
    def first(self) -> Path | None:
        """The folder that later ones are compared with; None before the first measurement."""
        return next(iter(_folders(self._folder).values()), None)

    def begin(self, step: int) -> None:
        """Make room for a training that begins after so many steps.

        Raises:
            StoreError: A training that begins anew finds the steps of another one.
        """
        known = _folders(self._folder)
        if step == 0 and known:
            raise StoreError(
                f"a folder without steps of another training, got {len(known)} ({self._folder}); "
                "choose another `output`, or remove it"
            )
        # A training that is resumed goes these steps again, and measures what it begins with.
        for number, folder in known.items():
            if number >= step:
                shutil.rmtree(folder)

    def measured(self, model: object, processor: object, step: int) -> Step:
        """A model as it is now.

        Raises:
            MMFlowError: It cannot be measured, or the folder not be written.
        """
        run = self._opened(model, processor, step)
        numbers = _of_edges(run, self._asked.edges)
        if self._asked.mechanisms:
            numbers |= _of_mechanisms(run, self._asked.mechanisms)
        first = self.first
        folder = run.save(self._folder / _NAME.format(step))
        drift: tuple[str, ...] = ()
        if first is not None and self._asked.mechanisms:
            found = compare_runs(
                read_values(first),
                read_values(folder),
                tolerance=dict(self._asked.tolerance),
                alpha=self._asked.settings.alpha,
            )
            drift = _drift(found)
            numbers[f"{PREFIX}/changed"] = float(len(found.of(Change.CHANGED)))
            write_text(folder / FILE, found.as_json())
            write_text(folder / GATE, GateDecision(not drift, drift).as_json("regression"))
        return Step(step=step, folder=folder, numbers=numbers, drift=drift)

    def _opened(self, model: object, processor: object, step: int) -> Run:
        bar, settings = MeasuringBar(None), self._asked.settings
        name = _NAME.format(step)
        more = {"samples": self._samples, "is_tested": self._samples is None}
        found = in_memory(model, processor, name, settings, self._asked.options, **more)
        if not found.tasks:
            raise unusable(found.samples)
        # Read once: questions and images are the same at every step.
        self._samples = found.samples
        return Run(found, settings, bar=bar)


def read_steps(folder: Path | str) -> dict[int, ReadRun]:
    """What a callback has written into its folder: number of steps -> run, in their order.

    Raises:
        StoreError: There is none, or one of them is damaged.
    """
    place = Path(os.path.expanduser(folder))
    found = {step: read(path) for step, path in _folders(place).items()}
    if not found:
        raise StoreError(
            f"a folder that FlowCallback has written, got none of its steps ({place}); give its "
            "`output`"
        )
    return found


def _folders(folder: Path) -> dict[int, Path]:
    named = ((re.fullmatch(r"step-(\d+)", path.name), path) for path in folder.glob("step-*"))
    found = {int(match[1]): path for match, path in named if match and has_results(path)}
    return dict(sorted(found.items()))


def _of_edges(run: Run, edges: Sequence[str]) -> dict[str, float]:
    """Accuracy of every task, and the peak of every curve that there is."""
    numbers: dict[str, float] = {}
    for task in run.tasks:
        count = run.answers(task)
        if count.scored:
            numbers[f"{PREFIX}/{task}/accuracy"] = count.accuracy
        for edge in edges:
            try:
                curve = run.flow(edge, task)
            except Undecided:
                # No sample is answered correctly yet, or none has both roles.
                continue
            name = f"{PREFIX}/{task}/{edge.replace(' ', '')}"
            found = {"peak": curve.peak.value, "depth": curve.peak_depth.value}
            numbers |= {f"{name}/{k}": float(v) for k, v in found.items() if math.isfinite(v)}
    return numbers


def _of_mechanisms(run: Run, mechanisms: Sequence[str]) -> dict[str, float]:
    rows = run.verdicts(*mechanisms).rows
    return {
        f"{PREFIX}/{row.task}/{row.id}": row.estimate for row in rows if row.estimate is not None
    }


def _drift(found: BaselineComparison) -> tuple[str, ...]:
    """What has left its tolerance; not what few samples leave undecided."""
    changed = [f"changed: {named(found, Change.CHANGED)}"] if found.changed else []
    return (*changed, *found.lost)

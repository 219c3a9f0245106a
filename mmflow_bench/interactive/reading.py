"""`mm.read`: what a run has left, looked at as a run that is open."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from mmflow_bench.baselines.gate import GateDecision, kept_gate
from mmflow_bench.baselines.paired_records import BaselineComparison, kept_comparison
from mmflow_bench.errors import MechanismError
from mmflow_bench.interactive.curves import FlowCurve, ShownLens
from mmflow_bench.interactive.verdicts import Verdicts
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.mechanisms.declared import in_order
from mmflow_bench.names import hint, one_of
from mmflow_bench.reports.summary import read_summary
from mmflow_bench.runs.curves import SweptCurves
from mmflow_bench.runs.reading import RunRecord, read_run
from mmflow_bench.runs.rows import MechanismRow


class ReadRun:
    """A finished run: its rows, its curves, and what it was compared with."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record

    @property
    def folder(self) -> Path:
        return self.record.folder

    @property
    def name(self) -> str:
        """The checkpoint, as it was named."""
        return self.record.name

    @property
    def rows(self) -> tuple[MechanismRow, ...]:
        """A row for each mechanism and task, in the order of the run."""
        return self.record.rows

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that the run has looked at."""
        return in_order(self.record.results.data.tasks)

    @property
    def curves(self) -> tuple[tuple[str, str], ...]:
        """Edges and tasks that there are curves of."""
        return tuple(dict.fromkeys((one.edge, one.task) for one in self.record.sweeps))

    @property
    def comparison(self) -> BaselineComparison | None:
        """What a comparison with a baseline has found; None where there was none."""
        return kept_comparison(self.folder)

    @property
    def gate(self) -> GateDecision | None:
        """What the run's gate has decided; None where none was asked for."""
        return kept_gate(self.folder)

    def verdicts(self) -> Verdicts:
        """The rows as a table."""
        _, facts = read_summary(self.folder)
        errors = {one.test: one.message for one in self.record.results.errors}
        return Verdicts(rows=self.rows, facts=facts, errors=errors)

    def flow(
        self, edge: str, task: str, *, width: int | None = None, method: str = "masked"
    ) -> FlowCurve:
        """A curve that the run has kept, as `Run.flow` gives it.

        Args:
            edge: Written `source -> target`.
            task: A task of the run.
            width: Of the windows, in layers; the run's own when None.
            method: masked, unnormalised or counterfactual.

        Raises:
            KnockoutError: The edge names an unknown role.
            MechanismError: The run has no such curve.
        """
        name, window = str(Edge.parse(edge)), width or self._window
        found = [
            one
            for one in self.record.sweeps
            if (one.edge, one.task, one.method) == (name, task, method)
            and window in (None, one.window)
        ]
        if not found:
            raise self._without(name, task, f"{method}, window {window}")
        return self._curve(f"{name} on {task}", found)

    def lens(self, probe: str, task: str, *, variant: str = "normed") -> ShownLens:
        """The logit lens of a probe, as the run has kept it.

        Raises:
            MechanismError: The run has none of that probe, task and variant.
        """
        kept = [one for one in self.record.lens if one.variant == variant]
        one_of(probe, list(dict.fromkeys(one.probe for one in kept)), "a probe that was kept")
        one_of(task, list(dict.fromkeys(one.task for one in kept)), "a task that was kept")
        found = [one for one in kept if (one.probe, one.task) == (probe, task)]
        layers = kept[0].values.shape[1]
        return ShownLens(
            name=f"{probe} on {task} ({variant} lens)",
            values=np.concatenate([np.empty((0, layers)), *(one.values for one in found)]),
            question_ids=tuple(question for one in found for question in one.question_ids),
            image_ids=tuple(image for one in found for image in one.image_ids),
            alpha=self.record.alpha,
        )

    def __repr__(self) -> str:
        return f"<ReadRun of {self.name}: {len(self.rows)} rows ({self.folder})>"

    @property
    def _window(self) -> int | None:
        return self.record.results.experiment.get("window")

    def _curve(self, name: str, swept: list[SweptCurves]) -> FlowCurve:
        return FlowCurve(
            name=name,
            values=np.concatenate([one.values for one in swept]),
            image_ids=tuple(image for one in swept for image in one.image_ids),
            width=swept[0].window,
            alpha=self.record.alpha,
            noise_floor=self.record.results.noise_floor or 0.0,
        )

    def _without(self, edge: str, task: str, how: str) -> MechanismError:
        known = [f"{one} on {of}" for one, of in self.curves]
        asked = f"{edge} on {task}"
        return MechanismError(
            f"a curve of the run ({', '.join(known) or 'it has kept none'}), got {asked} "
            f"({how}){hint(asked, known)}"
        )


def read(folder: Path | str) -> ReadRun:
    """What a run has left in its folder.

    Raises:
        StoreError: It is no run folder, or one of its files is damaged or of another version.
    """
    return ReadRun(read_run(Path(os.path.expanduser(folder))))

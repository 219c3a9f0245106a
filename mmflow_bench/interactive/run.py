"""One checkpoint on its samples, open for questions: curves, verdicts, and a run folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mmflow_bench.errors import MMFlowError, SelectionError, StoreError
from mmflow_bench.interactive.curves import RunFlow
from mmflow_bench.interactive.deciding import Case, Decider, cases_of, plan_of
from mmflow_bench.interactive.presenting import html_table, page_part
from mmflow_bench.interactive.settings import OpenSettings
from mmflow_bench.interactive.verdicts import Verdicts
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.names import SUITES, Suite, slug
from mmflow_bench.options import described
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.progress import MeasuringBar
from mmflow_bench.runs.folder import has_results
from mmflow_bench.runs.judged import ordered
from mmflow_bench.runs.keeping import facts_of, write_results, write_samples
from mmflow_bench.runs.rows import MechanismRow


class Run:
    """What one checkpoint does on its samples; measured when it is asked for, and kept.

    `flow` is the fixture of the suites: `run.flow("image -> question", "ChooseAttr")` is a curve
    over layers, `run.flow.lens("answer", "ChooseAttr")` one over depths.
    """

    def __init__(
        self, measurements: Measurements, settings: OpenSettings, *, bar: MeasuringBar
    ) -> None:
        self.settings = settings
        self.measurements = measurements
        self._planned = PlannedMeasurements(
            measurements, plan={}, window=settings.measurement.window, bar=bar, is_alone=True
        )
        self._rows: dict[tuple[str, str, str], MechanismRow] = {}
        self._errors: dict[str, str] = {}
        # What the mechanisms of a folder were chosen by: patterns of each call, and suites.
        self._asked: list[tuple[tuple[str, ...], Suite]] = []
        self.flow = RunFlow(self._planned, alpha=settings.alpha)

    @property
    def name(self) -> str:
        """The checkpoint, as it was named."""
        return self.measurements.name

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.measurements.tasks

    def answers(self, task: str) -> AnswerCount:
        """How many samples of a task were answered, and how many correctly.

        Raises:
            MechanismError: The questions have no such task.
        """
        return self._planned.accuracy(task)

    def verdicts(
        self,
        *mechanisms: str,
        suite: Suite | None = None,
        suites: Sequence[Path | str] = (),
    ) -> Verdicts:
        """Mechanisms decided as `pytest suites/` decides them.

        Args:
            mechanisms: Ids and glob patterns; every mechanism of the suite without any.
            suite: core, paper or all; as the run was opened with when None.
            suites: Files of tests, or folders of them, in place of those that ship.

        Raises:
            SelectionError: Nothing is selected, or wrong answers are kept, which no mechanism is
                about.
            MMFlowError: Something cannot be measured.
        """
        chosen = suite or self.settings.measurement.suite
        if chosen not in SUITES:
            raise SelectionError(f"a suite ({', '.join(SUITES)}), got {chosen!r}")
        self._refuse_incorrect()
        tests = chosen_tests([Path(one) for one in suites], patterns=mechanisms, suite=chosen)
        cases = cases_of(tests, self.settings.measurement.tasks)
        self._planned.extend(plan_of(cases, self.measurements))
        decider = Decider(
            self._planned,
            slug=slug(self.name),
            alpha=self.settings.alpha,
            twins=self.settings.measurement.twins,
        )
        errors: dict[str, str] = {}
        rows = list(_decided(decider, cases, errors))
        self._keep(rows, errors)
        self._asked.append((mechanisms, chosen))
        return Verdicts(
            rows=tuple(ordered(rows)),
            facts={slug(self.name): facts_of(self._planned)},
            errors=errors,
            notes=tuple(decider.notes),
        )

    def save(self, folder: Path | str) -> Path:
        """Write what was measured and decided so far as a run folder, which is returned.

        `mm.read`, `mmflow report` and `mmflow compare` read it.

        Raises:
            StoreError: The folder holds a run already, or cannot be written.
            SelectionError: Wrong answers are kept, which no other run does.
        """
        self._refuse_incorrect()
        folder = Path(os.path.expanduser(folder))
        if has_results(folder):
            raise StoreError(f"a folder without a run, got one that holds one ({folder})")
        write_samples(self._planned, folder)
        write_results(
            folder,
            ordered(list(self._rows.values())),
            facts=facts_of(self._planned),
            run_id=uuid.uuid4().hex,
            settings=described(self.settings) | self._selection(),
            measured=self.settings.measurement,
            alpha=self.settings.alpha,
            errors=[{"test": test, "message": why} for test, why in self._errors.items()],
        )
        return folder

    def close(self) -> None:
        """Let go of the loaded checkpoint; what is asked later loads it again."""
        self.measurements.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Run of {self.name} on {', '.join(self.tasks)}>"

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The checkpoint and what it is asked; nothing is measured for it."""
        yield Text(plain(self.name), style="bold")
        for task, selected, images in self._selected():
            yield Text(f"  {plain(task)}: {selected} samples of {images} images")

    def _repr_html_(self) -> str:
        rows = [(task, str(n), str(images)) for task, n, images in self._selected()]
        return page_part(html_table((self.name, "samples", "images"), rows, 2))

    def _selected(self) -> Iterator[tuple[str, int, int]]:
        for task in self.tasks:
            samples = self.measurements.samples.of(task)
            yield task, len(samples), len({one.image_id for one in samples})

    def _refuse_incorrect(self) -> None:
        if self.settings.measurement.keep_incorrect:
            raise SelectionError(
                "a run of correct answers, which mechanisms and run folders are about, got one "
                "with keep_incorrect=True; open it without, or with follow='reference'"
            )

    def _keep(self, rows: Sequence[MechanismRow], errors: dict[str, str]) -> None:
        self._rows |= {(row.id, row.task, row.test): row for row in rows}
        decided = {row.test for row in rows}
        self._errors = {k: v for k, v in self._errors.items() if k not in decided} | errors

    def _selection(self) -> dict[str, object]:
        """What --mechanisms and --suite would have been for all that was decided."""
        patterns = [patterns for patterns, _ in self._asked]
        # Whoever has once asked for everything has asked for everything.
        named = sorted({one for each in patterns for one in each}) if all(patterns) else []
        widest = max((suite for _, suite in self._asked), key=SUITES.index, default="core")
        return {"mechanisms": named, "suite": widest}


def _decided(
    decider: Decider, cases: Sequence[Case], errors: dict[str, str]
) -> Iterator[MechanismRow]:
    """The rows of some mechanisms; what ends without a verdict is told to `errors`."""
    for case in cases:
        try:
            yield decider.row(case)
        except (MMFlowError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            # Whatever a test of a user's raises: pytest's own skip is no Exception.
            errors[case.name] = f"{type(error).__name__}: {error}"

"""What a process leaves in the run folder: its tables when a checkpoint is closed, then results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.measurements.lens import LensTable
from mmflow_bench.plugin.facts import Facts, facts_of
from mmflow_bench.plugin.golden import conditions
from mmflow_bench.plugin.measuring import PlannedMeasurements
from mmflow_bench.plugin.models import ALL_TASKS
from mmflow_bench.plugin.run import Run
from mmflow_bench.runs.folder import ANSWERS, LENS, QUESTIONS, SAMPLES
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.runs.tables import lens_rows, sweep_rows, write_part

_CONDITIONS = (("task", "one"), ("all", ALL_TASKS))


def keep(run: Run, name: str, planned: PlannedMeasurements, folder: Path) -> None:
    """Keep what a checkpoint's measurements say of it, before they are closed."""
    run.learn({name: facts_of(planned)})
    try:
        _write_samples(planned, folder, run.worker or "main")
    except StoreError as error:
        # A full disk must not change the outcome of a test.
        run.notice(f"samples of {name} were not kept: {error}")


def write_facts(
    run: Run,
    folder: Path,
    rows: Sequence[MechanismRow],
    facts: Facts,
    errors: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write the run folder of one checkpoint.

    Raises:
        StoreError: The folder cannot be written.
    """
    # pydantic is slow to import, and workers write no results.
    from mmflow_bench.runs.results import environment, results_of, write_run

    said = {name: conditions(run.settings, task) for name, task in _CONDITIONS}
    results = results_of(
        rows,
        facts=facts,
        run_id=run.identity.run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=run.settings.described() | {"conditions": said},
        environment=environment(),
        errors=errors,
    )
    write_run(folder, results, rows)


def _write_samples(planned: PlannedMeasurements, folder: Path, part: str) -> None:
    """Write what tests have read, sample by sample, as this process's part of the run folder."""
    described = getattr(planned.opened, "described", None)
    answered = getattr(planned.opened, "answered", None)
    # The store may know the answers of tasks that this run has not looked at.
    answers = answered() if answered and planned.counts else []
    tables = [*planned.tables.values(), *planned.part_tables.values()]
    sweeps = [table for table in tables if isinstance(table, SweepTable)]
    lenses = [table for table in tables if isinstance(table, LensTable)]
    write_part(folder, SAMPLES, part, sweep_rows(sweeps))
    write_part(folder, ANSWERS, part, [row for row in answers if row["task"] in planned.counts])
    write_part(folder, LENS, part, lens_rows(lenses))
    write_part(folder, QUESTIONS, part, described() if described and planned.counts else [])

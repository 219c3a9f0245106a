"""What a process leaves in the run folder: its tables when a checkpoint is closed, then results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.mistakes import mistakes
from mmflow_bench.runs.facts import Facts
from mmflow_bench.runs.keeping import facts_of, write_results, write_samples
from mmflow_bench.runs.rows import MechanismRow


def keep(run: Run, name: str, planned: PlannedMeasurements, folder: Path) -> None:
    """Keep what a checkpoint's measurements say of it, before they are closed."""
    run.learn({name: {**facts_of(planned), "mistakes": _mistakes(planned)}})
    with run.noticing(f"samples of {name} were not kept"):
        write_samples(planned, folder)


def _mistakes(planned: PlannedMeasurements) -> dict[str, str]:
    """Of the tasks that were looked at, what was said where it was wrong."""
    if not any(count.correct < count.scored for count in planned.counts.values()):
        return {}
    said = mistakes(planned.opened.answered(), planned.opened.described())
    return {task: line for task, line in said.items() if task in planned.counts}


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
    write_results(
        folder,
        rows,
        facts=facts,
        run_id=run.identity.run_id,
        settings=run.settings.described(),
        measured=run.settings.measurement,
        alpha=run.settings.alpha,
        stat=run.settings.stat,
        errors=errors,
    )

"""What every written summary of a run starts from: its rows, its comparison, and one verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmflow_bench.baselines.gate import GateDecision, kept_gate
from mmflow_bench.baselines.paired_records import (
    BaselineComparison,
    kept_comparison,
    tasks_by_mechanism,
)
from mmflow_bench.errors import StoreError
from mmflow_bench.reports.glance.flow import Glance
from mmflow_bench.runs.reading import RunRecord, named_by_user, read_run
from mmflow_bench.runs.rows import MechanismRow

Facts = Mapping[str, Any]
"""What a run has learned of a checkpoint and its samples, with the names of results.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One checkpoint's run, for people and machines that were not there."""

    name: str
    """Of the checkpoint."""
    rows: tuple[MechanismRow, ...] = ()
    comparison: BaselineComparison | None = None
    gate: GateDecision | None = None
    """None where no gate was asked for."""
    run_id: str = ""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What became of the samples of each task, with the names of results.json."""
    incomplete: str = ""
    """Why the run is not complete; empty where it is."""
    glances: tuple[Glance, ...] = ()
    """The run at a glance, after what it was compared with; empty where nobody has looked."""

    @property
    def failing(self) -> dict[str, list[str]]:
        return tasks_by_mechanism(row for row in self.rows if row.has_failed)


def summary_of(record: RunRecord) -> Summary:
    """The summary of a finished run, with what its folder keeps of its comparison and its gate.

    Raises:
        StoreError: One of these two is damaged.
    """
    return Summary(
        name=record.name,
        rows=record.rows,
        comparison=kept_comparison(record.folder),
        gate=kept_gate(record.folder),
        run_id=record.results.run_id,
        tasks=record.results.model_dump()["data"]["tasks"],
        incomplete=record.results.incomplete,
    )


def read_summary(folder: Path) -> tuple[Summary, dict[str, Facts]]:
    """A run's summary, and the facts that the closing tables show, by slug.

    Raises:
        StoreError: There is no finished run in the folder.
    """
    expected = "a run folder with results.json and mechanisms.parquet"
    with named_by_user(StoreError, expected, folder):
        record = read_run(folder)
        summary = summary_of(record)
    known = record.results.model_dump()
    facts = known | {"tasks": known["data"]["tasks"]}
    return summary, {row.model: facts for row in summary.rows}

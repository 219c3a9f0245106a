"""What every written summary of a run starts from: its rows, its comparison, and one verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmflow_bench.baselines.comparison import Comparison
from mmflow_bench.baselines.gate import GateVerdict
from mmflow_bench.reports.rows import MechanismRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One checkpoint's run, for people and machines that were not there."""

    name: str
    """Of the checkpoint."""
    rows: tuple[MechanismRow, ...] = field(default=())
    comparison: Comparison | None = None
    gate: GateVerdict | None = None
    """None where no gate was asked for."""
    run_id: str = ""

    @property
    def failing(self) -> dict[str, list[str]]:
        """Mechanism -> tasks on which its test has failed."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if row.outcome in {"failed", "xpassed"}:
                found.setdefault(row.id, []).append(row.task)
        return found

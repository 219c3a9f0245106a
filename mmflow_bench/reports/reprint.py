"""A finished run, read back from its folder to be printed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmflow_bench.baselines.comparison import FILE, Comparison, read_comparison
from mmflow_bench.baselines.gate import GateVerdict
from mmflow_bench.errors import StoreError
from mmflow_bench.reports.folder import MECHANISMS, RESULTS
from mmflow_bench.reports.rows import MechanismRow
from mmflow_bench.reports.summary import Summary

GATE = "gate.json"
"""What the gate decided; absent where none was asked for."""


def read_summary(folder: Path) -> tuple[Summary, dict[str, dict[str, Any]]]:
    """A run's summary, and the facts that the closing tables show, by slug.

    Raises:
        StoreError: There is no finished run in the folder.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        rows = pq.read_table(folder / MECHANISMS).to_pylist()
        comparison, gate = kept_comparison(folder), kept_gate(folder)
        facts = {
            "checkpoint": results["checkpoint"],
            "tasks": results["data"]["tasks"],
            "noise_floor": results["noise_floor"],
            "self_test": results["self_test"],
        }
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise StoreError(
            f"a run folder with {RESULTS} and {MECHANISMS}, got {error!r} ({folder}); `mmflow ls "
            "runs` lists the runs there are"
        ) from error
    summary = Summary(
        name=results["checkpoint"]["name"],
        rows=tuple(MechanismRow.from_dict(row) for row in rows),
        comparison=comparison,
        gate=gate,
        run_id=results["run_id"],
    )
    return summary, {row.model: facts for row in summary.rows}


def kept_comparison(folder: Path) -> Comparison | None:
    """The comparison with a baseline that a run has kept; None where there was none.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / FILE
    return read_comparison(path.read_text(encoding="utf-8")) if path.is_file() else None


def kept_gate(folder: Path) -> GateVerdict | None:
    """What a run's gate has decided; None where none was asked for.

    Raises:
        ValueError: The file is damaged.
    """
    path = folder / GATE
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    return GateVerdict(bool(said["passed"]), tuple(said["why"]))

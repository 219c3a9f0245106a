"""A run folder written: results.json, mechanisms.parquet and the tables of samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmflow_bench.files import replace_file
from mmflow_bench.runs.folder import MECHANISMS, RESULTS, writing
from mmflow_bench.runs.results import Results
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.runs.tables import merge_parts, write_table


def write_run(folder: Path, results: Results, rows: Sequence[MechanismRow]) -> None:
    """Write everything that a run leaves behind, and merge the parts of its workers.

    Raises:
        StoreError: The folder cannot be written.
    """
    with writing(folder):
        merge_parts(folder)
        write_table(folder / MECHANISMS, MECHANISMS, [row.as_dict() for row in rows])
        # Last: a folder with results is a run that has ended.
        replace_file(folder / RESULTS, results.as_json())

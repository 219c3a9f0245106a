"""The run folder: results.json, mechanisms.parquet and samples.parquet, each complete or absent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmflow_bench.errors import StoreError
from mmflow_bench.reports.parts import merge_parts
from mmflow_bench.reports.rows import MechanismRow

if TYPE_CHECKING:
    import pyarrow as pa

    from mmflow_bench.measurements.knockout_sweep import SweepTable
    from mmflow_bench.reports.results import Results

RESULTS = "results.json"
MECHANISMS = "mechanisms.parquet"
SAMPLES = "samples.parquet"


def write_run(folder: Path, results: Results, rows: Sequence[MechanismRow]) -> None:
    """Write everything that a run leaves behind, and merge the parts of its workers.

    Raises:
        StoreError: The folder cannot be written.
    """
    import pyarrow as pa

    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _merge_samples(folder)
        merge_parts(folder)
        table = pa.Table.from_pylist([row.as_dict() for row in rows], schema=_mechanism_schema())
        _write_table(table, folder / MECHANISMS)
        _replace(folder / RESULTS, results.as_json().encode())


def keep_out_of_git(folder: Path) -> None:
    """Make git ignore a folder of results that nobody has asked for by name.

    Raises:
        StoreError: The folder cannot be written.
    """
    ignore = folder / ".gitignore"
    if not ignore.exists():
        with _writing(folder):
            _replace(ignore, b"*\n")


def write_text(path: Path, text: str) -> None:
    """Write a file of the run folder, complete or not at all.

    Raises:
        StoreError: The folder cannot be written.
    """
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text.encode())


def write_sample_part(folder: Path, part: str, sweeps: Iterable[SweepTable]) -> None:
    """Write one process's sweeps: a row per sample, edge, method and window.

    Raises:
        StoreError: The folder cannot be written.
    """
    import pyarrow as pa

    rows = [row for sweep in sweeps for row in _sample_rows(sweep)]
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=_sample_schema())
        _write_table(table, folder / f".samples-{part}-{os.getpid()}.part")


def _sample_rows(sweep: SweepTable) -> Iterator[dict[str, Any]]:
    change = sweep.relative_change
    for i, question_id in enumerate(sweep.question_ids):
        yield {
            "task": sweep.task,
            "question_id": question_id,
            "image_id": sweep.image_ids[i],
            "edge": sweep.edge,
            "method": str(sweep.method),
            "window": int(sweep.window),
            "base_probability": float(sweep.base_probability[i]),
            "relative_change": [float(value) for value in change[i]],
        }


def _merge_samples(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = sorted(folder.glob(".samples-*.part"))
    if not parts:
        return
    keys = ("task", "edge", "method", "window", "question_id")
    table = pa.concat_tables([pq.read_table(path) for path in parts])
    order = [(key, "ascending") for key in keys]
    # Two workers may have read the same sweep: a cross-task mechanism reads every task.
    table = table.sort_by(order).to_pylist()
    unique = {tuple(row[key] for key in keys): row for row in table}
    _write_table(
        pa.Table.from_pylist(list(unique.values()), schema=_sample_schema()), folder / SAMPLES
    )
    for path in parts:
        path.unlink()


def _sample_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        {
            "task": pa.string(),
            "question_id": pa.string(),
            "image_id": pa.string(),
            "edge": pa.string(),
            "method": pa.string(),
            "window": pa.int64(),
            "base_probability": pa.float64(),
            "relative_change": pa.list_(pa.float64()),
        }
    )


def _mechanism_schema() -> pa.Schema:
    import pyarrow as pa

    texts = ("model", "test", "id", "task", "verdict", "outcome", "expected", "section")
    more = ("statement", "tier", "citation", "name")
    numbers = ("estimate", "low", "high")
    return pa.schema(
        [
            *((name, pa.string()) for name in (*texts, *more)),
            *((name, pa.float64()) for name in numbers),
            ("unit", pa.string()),
            ("threshold", pa.string()),
            ("n", pa.int64()),
            *((name, pa.string()) for name in ("qualifier", "reason", "baseline")),
            ("seconds", pa.float64()),
            ("p_value", pa.float64()),
            ("curve", pa.list_(pa.float64())),
        ]
    )


def _write_table(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary)
    os.replace(temporary, path)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"a run folder that can be written, got {error.strerror or error} ({folder}); point "
            "--mmflow-output at another folder. Verdicts are as printed"
        ) from error

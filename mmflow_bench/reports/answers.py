"""answers.parquet of the run folder: what every sample was answered with, right or wrong.

A comparison of two runs pairs samples by their content and asks who answered them; the knockouts in
samples.parquet are of correct answers only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmflow_bench.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

ANSWERS = "answers.parquet"
_KEYS = ("task", "question_id")


def write_answers_part(folder: Path, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one process's answers; nothing without any.

    Raises:
        StoreError: The folder cannot be written.
    """
    import pyarrow as pa

    if not rows:
        return
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=_schema())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(table, folder / f".answers-{part}-{os.getpid()}.part")
    except OSError as error:
        raise StoreError(
            f"a run folder that can be written, got {error.strerror or error} ({folder}); point "
            "--mmflow-output at another folder"
        ) from error


def merge_answers(folder: Path) -> None:
    """One table of the parts of all processes, each answer once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = sorted(folder.glob(".answers-*.part"))
    if not parts:
        return
    rows = pa.concat_tables([pq.read_table(path) for path in parts]).to_pylist()
    unique = {tuple(row[key] for key in _KEYS): row for row in rows}
    ordered = [unique[key] for key in sorted(unique)]
    _write(pa.Table.from_pylist(ordered, schema=_schema()), folder / ANSWERS)
    for path in parts:
        path.unlink()


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts = (*_KEYS, "image_id", "sample", "prediction")
    return pa.schema(
        [
            *((name, pa.string()) for name in texts),
            ("is_correct", pa.bool_()),
            ("answer_token_id", pa.int64()),
            ("base_probability", pa.float64()),
        ]
    )


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary)
    os.replace(temporary, path)

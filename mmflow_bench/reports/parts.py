"""Tables of the run folder beside samples.parquet: lens curves, and what was asked and answered.

Each process writes its own part; `merge_parts` makes one table of them. Lens and questions are for
readers, who want to see a sample and not only its numbers. Answers are for the comparison of two
runs, which pairs samples by content: samples.parquet has those alone that were answered correctly.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmflow_bench.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from mmflow_bench.measurements.lens import LensTable

LENS = "lens.parquet"
QUESTIONS = "questions.parquet"
ANSWERS = "answers.parquet"

_KEYS: Mapping[str, tuple[str, ...]] = {
    LENS: ("task", "probe", "variant", "question_id"),
    QUESTIONS: ("task", "question_id"),
    ANSWERS: ("task", "question_id"),
}
_TEXTS: Mapping[str, tuple[str, ...]] = {
    LENS: ("image_id",),
    QUESTIONS: ("image_id", "question", "answer", "prediction"),
    ANSWERS: ("image_id", "sample", "prediction"),
}


def lens_rows(tables: Iterable[LensTable]) -> list[dict[str, Any]]:
    """One row per sample, probe and variant; `probability` by depth, the embedding first."""
    return [
        {
            "task": table.task,
            "probe": table.probe,
            "variant": table.variant,
            "question_id": question_id,
            "image_id": table.image_ids[i],
            "probability": [float(value) for value in table.probability[i]],
        }
        for table in tables
        for i, question_id in enumerate(table.question_ids)
    ]


def write_part(folder: Path, name: str, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one process's rows of a table; nothing without rows.

    Args:
        folder: The run folder.
        name: `LENS`, `QUESTIONS` or `ANSWERS`.
        part: What tells this process from the others of the run.
        rows: With the columns of the table.

    Raises:
        StoreError: The folder cannot be written.
    """
    import pyarrow as pa

    if not rows:
        return
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=_schema(name))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(table, folder / f".{name}-{part}-{os.getpid()}.part")
    except OSError as error:
        raise StoreError(
            f"a run folder that can be written, got {error.strerror or error} ({folder}); point "
            "--mmflow-output at another folder"
        ) from error


def merge_parts(folder: Path) -> None:
    """One table of the parts of all processes, each row once, in the order of its keys."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name, keys in _KEYS.items():
        parts = sorted(folder.glob(f".{name}-*.part"))
        if not parts:
            continue
        rows = pa.concat_tables([pq.read_table(path) for path in parts]).to_pylist()
        unique = {tuple(row[key] for key in keys): row for row in rows}
        ordered = [unique[key] for key in sorted(unique)]
        _write(pa.Table.from_pylist(ordered, schema=_schema(name)), folder / name)
        for path in parts:
            path.unlink()


def _schema(name: str) -> pa.Schema:
    import pyarrow as pa

    columns = [(text, pa.string()) for text in (*_KEYS[name], *_TEXTS[name])]
    if name == LENS:
        return pa.schema([*columns, ("probability", pa.list_(pa.float64()))])
    columns.append(("is_correct", pa.bool_()))
    if name == ANSWERS:
        numbers = (("answer_token_id", pa.int64()), ("base_probability", pa.float64()))
        return pa.schema([*columns, *numbers])
    sizes = [(name, pa.int64()) for name in ("image_width", "image_height")]
    box = pa.list_(pa.float64())
    grid = pa.struct(
        [
            *((name, pa.int64()) for name in ("width", "height", "rows", "columns")),
            *((name, pa.float64()) for name in ("left", "top", "cell_width", "cell_height")),
            ("related", pa.list_(pa.int64())),
        ]
    )
    return pa.schema(
        [
            *columns,
            *sizes,
            # x, y, width, height in pixels of the image.
            ("boxes", pa.list_(box)),
            ("patches", grid),
        ]
    )


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    pq.write_table(table, temporary)
    os.replace(temporary, path)

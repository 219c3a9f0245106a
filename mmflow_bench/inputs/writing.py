"""Writing question files: complete or not at all, in a format that `--questions` reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replace_file
from mmflow_bench.inputs.json_lines import FIELDS
from mmflow_bench.inputs.published import MISSING, NUMBERS, SIZES, TEXTS, Row
from mmflow_bench.inputs.samples import Sample

WRITTEN_SUFFIXES = (".csv", ".parquet", ".jsonl")

_OWN_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in FIELDS[:9]),
        ("image_width", pa.int32()),
        ("image_height", pa.int32()),
        ("answers", pa.list_(pa.string())),
        ("object_names", pa.list_(pa.string())),
        ("boxes", pa.list_(pa.list_(pa.float64()))),
    ]
)


def write_published(rows: Sequence[Row], path: Path) -> None:
    """Write rows of the published layout as CSV or typed Parquet.

    Args:
        rows: Cells as texts; `-`, an empty one and a missing one are the same.
        path: `.csv` or `.parquet`.

    Raises:
        StoreError: The file cannot be written.
    """
    _write(path, _csv(rows) if path.suffix == ".csv" else _parquet(_typed(rows)))


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """Write samples as JSON lines or Parquet with the fields of the Sample record.

    Images are not written: they are found by `image_id` again, with `--images`.

    Args:
        samples: In the order of their rows.
        path: `.jsonl` or `.parquet`.

    Raises:
        StoreError: The file cannot be written.
    """
    records = [sample_record(sample) for sample in samples]
    if path.suffix == ".parquet":
        _write(path, _parquet(pa.Table.from_pylist(records, schema=_OWN_SCHEMA)))
    else:
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        _write(path, "".join(lines).encode())


def sample_record(sample: Sample) -> Json:
    """The fields of a sample that are not empty, as JSON values, without its image."""
    boxes = [[box.x, box.y, box.width, box.height] for box in sample.boxes]
    given = {name: getattr(sample, name) for name in FIELDS if name not in ("image", "boxes")}
    given |= {"answers": list(sample.answers), "object_names": list(sample.object_names)}
    return {name: value for name, value in (given | {"boxes": boxes}).items() if value}


def _csv(rows: Sequence[Row]) -> bytes:
    used = [name for name in (*TEXTS, *NUMBERS) if any(row.get(name) for row in rows)]
    # A set without rows keeps its header, so that it is read as a set without rows.
    columns = used or [*TEXTS, *NUMBERS]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval=MISSING, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: row.get(name) or MISSING for name in columns} for row in rows)
    return text.getvalue().encode()


def _typed(rows: Sequence[Row]) -> pa.Table:
    kinds = {name: pa.int32() if name in SIZES else pa.float64() for name in NUMBERS}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*TEXTS, *NUMBERS)])
    records = [{name: _cell(row, name) for name in schema.names} for row in rows]
    return pa.Table.from_pylist(records, schema=schema)


def _cell(row: Row, name: str) -> str | float | None:
    text = row.get(name) or ""
    if text.strip() in ("", MISSING):
        return None
    if name in SIZES:
        return int(float(text))
    return float(text) if name in NUMBERS else text


def _parquet(table: pa.Table) -> bytes:
    # One row group and large pages: the captions of an image stand in several rows, and zstd finds
    # them again only within a page.
    content = io.BytesIO()
    pq.write_table(
        table,
        content,
        compression="zstd",
        compression_level=22,
        use_dictionary=[name for name in table.column_names if name not in ("captions", "caption")],
        data_page_size=2**26,
        row_group_size=2**20,
        write_statistics=False,
        store_schema=False,
    )
    return content.getvalue()


def _write(path: Path, content: bytes) -> None:
    with refusing(StoreError, "a file that can be written", path, "check --output"):
        replace_file(path, content)

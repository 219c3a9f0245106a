"""A run folder read back, for every report that is made after the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmflow_bench.errors import StoreError
from mmflow_bench.reports.folder import MECHANISMS, RESULTS, SAMPLES
from mmflow_bench.reports.parts import LENS, QUESTIONS
from mmflow_bench.reports.results import SCHEMA_VERSION, Results
from mmflow_bench.reports.rows import MechanismRow

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one run left behind about one checkpoint."""

    folder: Path
    results: Results
    rows: tuple[MechanismRow, ...]
    """In the order of the run, with their curves."""

    @property
    def name(self) -> str:
        """The checkpoint's name, as the user gave it."""
        return self.results.checkpoint.name

    @property
    def alpha(self) -> float:
        """Error rate of the run's intervals."""
        return float(self.results.settings.get("alpha") or 0.05)

    @cached_property
    def samples(self) -> tuple[Row, ...]:
        """Sweeps: a row per sample, edge, method and window; empty where none was kept."""
        return _table(self.folder / SAMPLES)

    @cached_property
    def lens(self) -> tuple[Row, ...]:
        """Logit lens: a row per sample, probe and variant; empty where none was kept."""
        return _table(self.folder / LENS)

    @cached_property
    def questions(self) -> tuple[Row, ...]:
        """What was asked and answered: a row per sample; empty where none was kept."""
        return _table(self.folder / QUESTIONS)


def read_run(path: Path) -> RunRecord:
    """The run in a folder, or of a results.json.

    Raises:
        StoreError: It is no run folder, or one of its files is damaged or of another version.
    """
    folder = path.parent if path.name == RESULTS else path
    results = _results(folder / RESULTS)
    return RunRecord(folder=folder, results=results, rows=_rows(folder, results))


def _results(path: Path) -> Results:
    from pydantic import ValidationError

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"results of schema {SCHEMA_VERSION}, got {version!r} ({path}); read them with the "
                "version of mmflow-bench that wrote them, or run again"
            )
        return Results.model_validate(content)
    except FileNotFoundError as error:
        raise StoreError(
            f"a run folder with {RESULTS}, got none ({path.parent}); give the folder that the run "
            "named at its end, such as .mmflow/runs/..."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"results that follow the schema, got {where}: {first['msg']} ({path}); run again"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(
            f"a readable {RESULTS}, got {error} ({path}); the file is damaged, run again"
        ) from error


def _rows(folder: Path, results: Results) -> tuple[MechanismRow, ...]:
    """The rows with their curves, or without them where only results.json was kept."""
    table = _table(folder / MECHANISMS)
    if not table:
        slug = results.checkpoint.name
        plain = [mechanism.model_dump() for mechanism in results.mechanisms]
        return tuple(MechanismRow.from_dict({"model": slug, **row}) for row in plain)
    if len(table) != len(results.mechanisms):
        raise StoreError(
            f"as many mechanisms in {MECHANISMS} as in {RESULTS}, got {len(table)} and "
            f"{len(results.mechanisms)} ({folder}); the files are of different runs, run again"
        )
    return tuple(MechanismRow.from_dict(_known(row)) for row in table)


def _known(row: Row) -> dict[str, Any]:
    """A row of the table without what is null or no number: the fields have defaults for it."""
    return {name: value for name, value in row.items() if value is not None and value == value}


def _table(path: Path) -> tuple[Row, ...]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return ()
    try:
        return tuple(pq.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"a readable {path.name}, got {error} ({path}); the file is damaged, run again"
        ) from error

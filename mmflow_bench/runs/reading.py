"""A run folder read back: for reports, baselines and everything else that comes after the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mmflow_bench.errors import MMFlowError, StoreError
from mmflow_bench.files import read_json
from mmflow_bench.runs.checked_tables import checked_table, read_table
from mmflow_bench.runs.curves import (
    LensCurves,
    OfSamples,
    SemanticsCurves,
    SweptCurves,
    sampled_curves,
)
from mmflow_bench.runs.folder import (
    ANSWERS,
    LENS,
    MECHANISMS,
    PIECES,
    QUESTIONS,
    REMOVAL,
    RESULTS,
    SAMPLES,
    SEMANTICS,
    results_json,
)
from mmflow_bench.runs.records import AnswerRow, QuestionRow, RemovalRow
from mmflow_bench.runs.results import SCHEMA_VERSION, Results, first_fault
from mmflow_bench.runs.rows import RESULT_FIELDS, MechanismRow, verdict_counts

Kept = TypeVar("Kept")
_OF_TABLE = tuple(one.name for one in fields(MechanismRow) if one.name not in RESULT_FIELDS)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What one run left behind about one checkpoint; a table that it did not keep is empty."""

    folder: Path
    results: Results
    rows: tuple[MechanismRow, ...]
    """In the order of the run, with their curves."""

    @property
    def name(self) -> str:
        return self.results.checkpoint.name

    @property
    def alpha(self) -> float:
        return float(self.results.settings.get("alpha") or 0.05)

    @cached_property
    def sweeps(self) -> tuple[SweptCurves, ...]:
        """Sweeps, by task, edge, method and window; empty where none was kept."""
        return self._curves(SAMPLES, SweptCurves)

    @cached_property
    def pieces(self) -> tuple[SweptCurves, ...]:
        """The same of the last sub-word of answers that have several; empty where none was."""
        return self._curves(PIECES, SweptCurves)

    @cached_property
    def lens(self) -> tuple[LensCurves, ...]:
        """Logit lens, by task, probe and variant; empty where none was kept."""
        return self._curves(LENS, LensCurves)

    @cached_property
    def semantics(self) -> tuple[SemanticsCurves, ...]:
        """What the question says, by task and what is taken away; empty where none was kept."""
        return self._curves(SEMANTICS, SemanticsCurves)

    @cached_property
    def removal(self) -> list[RemovalRow]:
        """Answers without the image: a row per sample and kind; empty where none was kept."""
        return read_table(self.folder / REMOVAL)

    @cached_property
    def questions(self) -> list[QuestionRow]:
        """What was asked and answered: a row per sample; empty where none was kept."""
        return read_table(self.folder / QUESTIONS)

    @cached_property
    def answers(self) -> list[AnswerRow]:
        return read_table(self.folder / ANSWERS)

    def _curves(self, name: str, kind: type[OfSamples]) -> tuple[OfSamples, ...]:
        path = self.folder / name
        return tuple(sampled_curves(name, kind, checked_table(path))) if path.exists() else ()


def read_run(path: Path) -> RunRecord:
    """The run in a folder, or of a results.json.

    Raises:
        StoreError: It is no run folder, or one of its files is damaged or of another version.
    """
    folder = path.parent if path.name == RESULTS else path
    results = _results(folder)
    return RunRecord(folder=folder, results=results, rows=_rows(folder, results))


def _results(folder: Path) -> Results:
    content, path = results_json(folder), folder / RESULTS
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"results of schema {SCHEMA_VERSION}, got {version!r} ({path}); read them with the "
            "version of mmflow-bench that wrote them, or run again"
        )
    try:
        results = validated(Results, content)
    except ValueError as error:
        raise StoreError(
            f"results that follow the schema, got {error} ({path}); run again"
        ) from error
    counted = verdict_counts(results.mechanisms)
    if results.summary != counted:
        raise StoreError(
            f"a summary that counts the mechanisms, got {results.summary} for {counted} ({path}); "
            "run again"
        )
    return results


def _rows(folder: Path, results: Results) -> tuple[MechanismRow, ...]:
    """The rows with their curves, or without them where only results.json was kept."""
    known = [asdict(mechanism) for mechanism in results.mechanisms]
    if not (folder / MECHANISMS).exists():
        slug = results.checkpoint.name.strip("/").replace("/", "_")
        return tuple(MechanismRow(model=slug, **row) for row in known)
    table = read_table(folder / MECHANISMS)
    if _verdicts(known) != _verdicts(table):
        raise StoreError(
            f"the mechanisms and verdicts of {RESULTS} in {MECHANISMS}, got others or in another "
            f"order ({folder}); the files are of different runs, run again"
        )
    # The table has what results.json leaves out: curves, and slugs as the run's tests have them.
    more = [{name: row[name] for name in _OF_TABLE} for row in table]
    pairs = zip(known, more, strict=True)
    return tuple(MechanismRow.from_dict(one | other) for one, other in pairs)


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["id"], row["task"], row["verdict"]) for row in rows]


def kept_record(path: Path, record: Callable[[object], Kept]) -> Kept | None:
    """What a run folder keeps in a JSON file of its own; None where there is none.

    Args:
        path: The file.
        record: Makes the record of the file's value; raises ValueError where it is none.

    Raises:
        StoreError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        return record(read_json(path))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"a readable {path.name}, got {error} ({path}); the file is damaged, run again"
        ) from error


def validated(record: type[Kept], value: object) -> Kept:
    """The record that a JSON value stands for.

    Raises:
        ValueError: A field is missing, or of another type than the record says.
    """
    try:
        # As text again: a strict reader of Python's values takes no list for a tuple, and one that
        # is not strict takes the word nan for a number.
        return TypeAdapter(record).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise ValueError(first_fault(error)) from error


@contextmanager
def named_by_user(
    error: type[MMFlowError], expected: str, folder: Path, *, listed: str = "the runs there are"
) -> Iterator[None]:
    """A block that reads a folder which a user has named as a run.

    Args:
        error: What is raised where it is none.
        expected: What the user should have named.
        folder: What they have named.
        listed: What the list of runs has.
    """
    try:
        yield
    except StoreError as wrong:
        raise error(
            f"{expected}, got {wrong.__cause__ or wrong!r} ({folder}); `mmflow ls runs` lists "
            f"{listed}"
        ) from wrong

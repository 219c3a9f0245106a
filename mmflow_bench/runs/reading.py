"""A run folder read back: for reports, baselines and everything else that comes after the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from mmflow_bench.errors import MMFlowError, StoreError
from mmflow_bench.runs.folder import (
    ANSWERS,
    LENS,
    MECHANISMS,
    QUESTIONS,
    RESULTS,
    SAMPLES,
    results_json,
)
from mmflow_bench.runs.results import SCHEMA_VERSION, Results
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.runs.tables import AnswerRow, LensRow, QuestionRow, SweepRow, read_table


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
    def samples(self) -> list[SweepRow]:
        """Sweeps: a row per sample, edge, method and window; empty where none was kept."""
        return read_table(self.folder / SAMPLES)

    @cached_property
    def lens(self) -> list[LensRow]:
        """Logit lens: a row per sample, probe and variant; empty where none was kept."""
        return read_table(self.folder / LENS)

    @cached_property
    def questions(self) -> list[QuestionRow]:
        """What was asked and answered: a row per sample; empty where none was kept."""
        return read_table(self.folder / QUESTIONS)

    @cached_property
    def answers(self) -> list[AnswerRow]:
        return read_table(self.folder / ANSWERS)


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
        return Results.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"results that follow the schema, got {where}: {first['msg']} ({path}); run again"
        ) from error


def _rows(folder: Path, results: Results) -> tuple[MechanismRow, ...]:
    """The rows with their curves, or without them where only results.json was kept."""
    known = [asdict(mechanism) for mechanism in results.mechanisms]
    if not (folder / MECHANISMS).exists():
        slug = results.checkpoint.name.strip("/").replace("/", "_")
        return tuple(MechanismRow(model=slug, **row) for row in known)
    # The table has what results.json leaves out: curves, and slugs as the run's tests have them.
    table = read_table(folder / MECHANISMS)
    if len(table) != len(known):
        raise StoreError(
            f"as many mechanisms in {MECHANISMS} as in {RESULTS}, got {len(table)} and "
            f"{len(known)} ({folder}); the files are of different runs, run again"
        )
    return tuple(map(MechanismRow.from_dict, table))


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

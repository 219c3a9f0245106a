"""Runs as one table: checkpoints against mechanisms."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import PurePath

from mmflow_bench.errors import StoreError
from mmflow_bench.mechanisms.declared import in_order
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import VERDICTS, MechanismRow, grouped

WORST_FIRST = (
    "fails",
    "instrument-dependent",
    "inconclusive",
    "precondition-failed",
    "holds",
    "report",
    "not-applicable",
)
"""What a cell over several tasks shows."""
DECIDED = ("holds", "fails")
NOTHING_ASKED = frozenset({"not-applicable", "report"})
"""Verdicts of rows that could neither hold nor fail."""
_SLUG_LENGTH = 60


def public(place: str) -> str:
    """A name or place without the folders of the machine that a run was made on.

    >>> public("/home/me/runs/my-finetune"), public("org/name")
    ('my-finetune', 'org/name')
    """
    path = PurePath(place)
    return path.name if path.is_absolute() else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One mechanism on one checkpoint, over its tasks."""

    rows: tuple[MechanismRow, ...]

    @property
    def verdict(self) -> str:
        return min((row.verdict for row in self.rows), key=WORST_FIRST.index)

    @property
    def holding(self) -> int:
        return sum(row.verdict == "holds" for row in self.rows)

    @property
    def applicable(self) -> int:
        return sum(row.verdict not in NOTHING_ASKED for row in self.rows)

    @property
    def effect(self) -> float | None:
        """The median estimate over the tasks; None without any."""
        known = [row.estimate for row in self.rows if row.estimate is not None]
        return statistics.median(known) if known else None

    @property
    def unit(self) -> str:
        return next((row.unit for row in self.rows if row.estimate is not None), "")

    @property
    def told(self) -> str:
        return ", ".join(f"{row.task}: {row.verdict}" for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One checkpoint of the board."""

    slug: str
    """Names its files."""
    record: RunRecord

    @property
    def name(self) -> str:
        return public(self.record.name)

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """Mechanism -> cell."""
        by_id = grouped(self.record.rows, lambda row: row.id)
        return {name: Cell(rows=tuple(rows)) for name, rows in by_id.items()}

    @cached_property
    def single(self) -> dict[tuple[str, str], MechanismRow]:
        """(mechanism, task) -> row."""
        return {(row.id, row.task): row for row in self.record.rows}

    @cached_property
    def counts(self) -> dict[str, int]:
        return {v: sum(row.verdict == v for row in self.record.rows) for v in VERDICTS}

    @property
    def share(self) -> float | None:
        """Share of the decided rows that hold; None where nothing is decided."""
        decided = sum(self.counts[verdict] for verdict in DECIDED)
        return self.counts["holds"] / decided if decided else None

    @property
    def selected(self) -> int:
        return sum(task.selected for task in self.record.results.data.tasks.values())

    @property
    def accuracy(self) -> float | None:
        """Share of the scored samples that were answered correctly; None without any."""
        tasks = self.record.results.data.tasks.values()
        scored = sum(task.selected - sum(task.unscored.values()) for task in tasks)
        return sum(task.correct for task in tasks) / scored if scored else None

    @property
    def conditions(self) -> str:
        """What must be equal for two checkpoints to be compared number by number."""
        results = self.record.results
        settings = {name: results.settings.get(name) for name in ("limit", "seed", "window")}
        if results.experiment.get("follow") == "reference":
            settings["following the"] = "reference answer"
        if results.experiment.get("compat") == "paper":
            settings["read to the letter of the"] = "paper's program"
        said = [f"{name} {value}" for name, value in settings.items() if value is not None]
        data = f"{public(results.data.name)} {results.data.fingerprint[:12]}"
        # A checkpoint's own samples are named after it; their fingerprint says what they are.
        if results.data.name == f"samples of {self.record.name}":
            data = f"own samples {results.data.fingerprint[:60]}"
        return ", ".join([data.strip(), *said])


@dataclass(frozen=True, kw_only=True)
class Board:
    """All checkpoints, and the mechanisms that any of them was asked about."""

    entries: tuple[Entry, ...]

    @cached_property
    def mechanisms(self) -> tuple[MechanismRow, ...]:
        """One row that describes each mechanism, in the order of the reports."""
        known = [rows[0] for rows in self._rows.values()]
        # A mechanism that only a later checkpoint was asked about stands with its section.
        sections = list(dict.fromkeys(row.section for row in known))
        return tuple(sorted(known, key=lambda row: sections.index(row.section)))

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """Those that are counted: what is decided, and what else any checkpoint has."""
        found = {verdict for entry in self.entries for verdict, n in entry.counts.items() if n}
        return tuple(verdict for verdict in VERDICTS if verdict in found.union(DECIDED))

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (row.id, task)
            for row in self.mechanisms
            for task in in_order({one.task for one in self._rows[row.id]})
        )

    @cached_property
    def _rows(self) -> dict[str, list[MechanismRow]]:
        return grouped(
            (row for entry in self.entries for row in entry.record.rows), lambda row: row.id
        )

    def differs(self, mechanism: str) -> bool:
        """Whether the checkpoints do not all have the same verdicts on a mechanism."""
        told = {entry.cells[mechanism].told for entry in self.entries if mechanism in entry.cells}
        return len(told) > 1

    @property
    def are_comparable(self) -> bool:
        """Whether all were measured on the same samples in the same way."""
        return len({entry.conditions for entry in self.entries}) < 2


def board_of(records: Iterable[RunRecord], *, latest: bool = False) -> Board:
    """A board in the order of the checkpoints' names, whatever the order of the runs.

    `latest` takes the newest of several runs of a checkpoint, instead of refusing; one that is
    complete before one that is not.

    Raises:
        StoreError: There are no runs, a run is given twice, or a checkpoint has two runs.
    """
    # The same runs give the same site, in whatever order a shell has expanded them.
    ordered = sorted(records, key=lambda one: (one.name, one.results.created, one.results.run_id))
    if not ordered:
        raise StoreError("at least one run folder, got none; give those of .mmflow/runs")
    for one, other in pairwise(ordered):
        if one.name != other.name:
            continue
        if one.results.run_id == other.results.run_id:
            raise StoreError(
                f"every run once, got run {one.results.run_id} of {one.name} twice ({one.folder} "
                f"and {other.folder}); leave one out"
            )
        if not latest:
            raise StoreError(
                f"one run for each checkpoint, got two of {one.name} ({one.folder} and "
                f"{other.folder}); leave one out, or take the newest with --latest"
            )
    # The last of a name is its newest.
    newest = sorted(ordered, key=lambda one: one.results.complete)
    kept = {record.name: record for record in newest}
    return Board(entries=tuple(_entries(kept[name] for name in sorted(kept))))


def _entries(records: Iterable[RunRecord]) -> Iterator[Entry]:
    taken: set[str] = set()
    for record in records:
        slug = _slug(public(record.name))
        # Some file systems take two names for one that differ by case only.
        if slug.lower() in taken:
            slug = f"{slug}-{_digest(record.name)}"
        taken.add(slug.lower())
        yield Entry(slug=slug, record=record)


def _slug(name: str) -> str:
    """A name that is safe in a path and in an address, whatever the checkpoint is called."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
    if not plain or len(plain) > _SLUG_LENGTH:
        return f"{plain[:_SLUG_LENGTH] or 'checkpoint'}-{_digest(name)}"
    return plain


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]

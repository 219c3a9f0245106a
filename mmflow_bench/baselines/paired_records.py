"""The outcome of a comparison as plain records: what every report prints and the exit code reads.

One object decides both, so that what is printed and what CI sees cannot differ.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mmflow_bench.baselines.tolerances import DEFAULTS, SMALLEST
from mmflow_bench.files import parsed_json
from mmflow_bench.runs.reading import kept_record, validated
from mmflow_bench.runs.rows import VERDICTS as OF_MECHANISMS
from mmflow_bench.runs.rows import AtLeast, MechanismResult, OneOf, grouped


class Change(StrEnum):
    """What a comparison says of a row, from what a reader must see first."""

    CHANGED = "changed"
    UNDECIDED = "undecided"
    NOT_COMPARABLE = "not-comparable"
    UNCHANGED = "unchanged"


VERDICTS = tuple(map(str, Change))
SCHEMA_VERSION = 1
FILE = "comparison.json"
Count = Annotated[int, AtLeast(0)]
Margin = Annotated[float, Field(ge=SMALLEST, lt=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One number of one mechanism on one task, before and after."""

    id: str
    task: str
    verdict: Annotated[str, OneOf(VERDICTS)]
    reading: str = ""
    """What was compared, e.g. `peak`; `verdict` where only verdicts are known."""
    unit: str = ""
    before: float | None = None
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    """The 1 - alpha interval of the paired difference."""
    error: Annotated[float, Field(ge=0)] | None = None
    """Standard error of the paired difference over these images."""
    margin: Margin | None = None
    n: Count | None = None
    """Samples that are compared."""
    images: Count | None = None
    needed: Count | None = None
    """About how many images would decide it, where these do not; None where nothing says."""
    p_changed: float | None = None
    """Adjusted by Holm over the gate set."""
    p_unchanged: float | None = None
    twin: float | None = None
    """The same difference in log-odds, or by the other lens."""
    twin_low: float | None = None
    twin_high: float | None = None
    base_only: float | None = None
    """In the base: the number on samples that it alone answers, less that on the common ones."""
    tuned_only: float | None = None
    """In the checkpoint: the number on samples that it alone answers, less that on common ones."""
    was: Annotated[str, OneOf(("", *OF_MECHANISMS))] = ""
    """The base's verdict on the mechanism, where it has one."""
    now: Annotated[str, OneOf(("", *OF_MECHANISMS))] = ""
    reason: str = ""
    """Why it is undecided or cannot be compared."""
    missing_in: Annotated[str, OneOf(("", "baseline", "checkpoint"))] = ""
    """`baseline` or `checkpoint`, where that alone has not measured it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPairs:
    """How the samples of one task pair up."""

    task: str
    both: Count
    """Answered correctly by both."""
    base_only: Count
    tuned_only: Count
    neither: Count
    reworded: Count
    """Of `both`: answers that begin with another token (`yes`, `Yes`), so that the probability of
    the answer is not one thing in both; left out where it is the answer that is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineComparison:
    """A checkpoint against its baseline."""

    base: str
    name: str
    kind: Literal["paired", "verdicts"]
    """`paired`, or `verdicts` where the baseline has no values of samples."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)]
    tolerance: Mapping[str, Margin]
    rows: tuple[ComparedRow, ...]
    tasks: tuple[TaskPairs, ...] = ()
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Why nothing was compared: what made the two runs different experiments."""
    lost: tuple[str, ...] = ()
    """What the checkpoint answers no longer, which no row need show."""
    baseless: tuple[str, ...] = ()
    """Why the rows do not say what they seem to, whatever their verdicts."""
    source: str = ""
    """Where a baseline that was not measured comes from."""
    follow: Annotated[str, OneOf(("answer", "reference"))] = "answer"
    """`answer`: compared on samples that both answer correctly, by the probability of their answer;
    `reference`: on all samples, by that of the reference answer."""
    schema_version: int = field(default=SCHEMA_VERSION)

    def of(self, verdict: str) -> tuple[ComparedRow, ...]:
        return tuple(row for row in self.rows if row.verdict == verdict)

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(row.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in VERDICTS if found[verdict]}

    @property
    def counted(self) -> str:
        return ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())

    @property
    def comparable(self) -> tuple[ComparedRow, ...]:
        return tuple(row for row in self.rows if row.verdict != Change.NOT_COMPARABLE)

    @property
    def changed(self) -> dict[str, list[str]]:
        return tasks_by_mechanism(self.of(Change.CHANGED))

    def as_json(self) -> str:
        return json.dumps(asdict(self) | {"summary": self.counts}, indent=1, allow_nan=False) + "\n"


def read_comparison(text: str) -> BaselineComparison:
    """The comparison that `as_json` gave.

    Raises:
        ValueError: The text is none of this schema.
    """
    return _comparison_of(parsed_json(text))


def kept_comparison(folder: Path) -> BaselineComparison | None:
    """The comparison with a baseline that a run has kept; None where there was none.

    Raises:
        StoreError: The file is damaged.
    """
    return kept_record(folder / FILE, _comparison_of)


def _comparison_of(values: object) -> BaselineComparison:
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{FILE} of schema {SCHEMA_VERSION} expected")
    found = validated(BaselineComparison, values)
    # Without any margin only verdicts were compared.
    if found.tolerance and found.tolerance.keys() != DEFAULTS.keys():
        raise ValueError(f"a tolerance of {', '.join(DEFAULTS)} expected, got {found.tolerance}")
    return found


def tasks_by_mechanism(rows: Iterable[ComparedRow | MechanismResult]) -> dict[str, list[str]]:
    by_id = grouped(rows, lambda row: row.id)
    return {name: list(dict.fromkeys(row.task for row in found)) for name, found in by_id.items()}

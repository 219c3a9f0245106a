"""One line of every report: what became of one mechanism on one task of one checkpoint.

Rows are plain values, because they travel from test workers to the process that reports. Their
fields are listed here and nowhere else: results.json, mechanisms.parquet, baselines, JUnit and the
leaderboard's index take theirs from this list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_args

from mmflow_bench.mechanisms.verdicts import Tier, Verdict

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

Item = TypeVar("Item")
Key = TypeVar("Key")

VERDICTS = tuple(map(str, Verdict))
OUTCOMES = ("passed", "failed", "xfailed", "xpassed", "inconclusive", "skipped")
TIERS = ("", *get_args(Tier))
BASELINE_STATES = ("", "same", "drift", "new", "other-conditions")
FAILED = frozenset({"failed", "xpassed"})
"""Outcomes that fail a test."""
CONFIRMED = "confirmed-by-counterfactual"
"""The qualifier of a verdict that another method of knocking out agrees with."""
ALL = "all"
"""The task of a statement across tasks."""

Place = Literal["blessed", "properties", "junit", "index"]
"""Where only some fields are shown: values/results.json of a baseline, what JUnit has beside a
test, junit.xml of the run folder, index.json of a leaderboard."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text that pydantic takes for one of some words; to everybody else it is a text."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, *_: object) -> CoreSchema:
        from pydantic_core.core_schema import literal_schema

        return literal_schema(list(self.words))


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A whole number that pydantic takes from some number on."""

    least: int

    def __get_pydantic_core_schema__(self, *_: object) -> CoreSchema:
        from pydantic_core.core_schema import int_schema

        return int_schema(ge=self.least)


def _not_in(*places: Place) -> dict[str, bool]:
    return dict.fromkeys(places, True)


@dataclass(frozen=True, slots=True, kw_only=True)
class MechanismResult:
    """One mechanism on one task."""

    # As pydantic reads it; a dictionary, for pydantic itself is imported for results.json alone.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str = field(metadata=_not_in("properties"))
    task: str
    """A task, or `all` for a statement across tasks."""
    verdict: Annotated[str, OneOf(VERDICTS)]
    expected: Annotated[str, OneOf(VERDICTS)]
    """The verdict that the checkpoint's record, its baseline or a mark of the user's expects."""
    outcome: Annotated[str, OneOf(OUTCOMES)]
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    threshold: str = field(default="", metadata=_not_in("blessed"))
    n: Annotated[int, AtLeast(0)] | None = None
    """Samples behind the estimate."""
    images: Annotated[int, AtLeast(0)] | None = None
    """Distinct images behind it."""
    tier: Annotated[str, OneOf(TIERS)] = field(default="", metadata=_not_in("blessed"))
    qualifier: str = field(default="", metadata=_not_in("blessed"))
    """What a reader must know beside the verdict."""
    citation: str = field(default="", metadata=_not_in("blessed", "properties", "index"))
    seconds: float = field(default=0.0, metadata=_not_in("blessed", "properties", "index"))
    section: str = field(default="", metadata=_not_in("properties"))
    """Of the paper, in words."""
    statement: str = field(default="", metadata=_not_in("blessed", "properties", "junit", "index"))
    reason: str = field(default="", metadata=_not_in("blessed", "properties"))
    """Why there is no verdict from numbers."""
    baseline: Annotated[str, OneOf(BASELINE_STATES)] = field(
        default="", metadata=_not_in("blessed", "index")
    )
    """Empty where none is kept."""
    test: str = field(default="", metadata=_not_in("blessed", "properties", "junit", "index"))
    """The pytest node id."""

    @property
    def is_known_failure(self) -> bool:
        """Whether it fails as expected; one that a gate does not ask for passes too, and is not."""
        return (self.expected, self.outcome) == ("fails", "xfailed")


@dataclass(frozen=True, slots=True, kw_only=True)
class MechanismRow(MechanismResult):
    """A mechanism, its verdict, and the numbers behind it."""

    model: str = field(metadata=_not_in("blessed", "junit", "index"))
    """Slug of the checkpoint."""
    name: str = field(default="", metadata=_not_in("blessed", "properties", "index"))
    """What was estimated, e.g. `peak`."""
    p_value: float | None = field(default=None, metadata=_not_in("blessed", "properties", "index"))
    """Of the verdict's null hypothesis, where the estimate gives one."""
    curve: tuple[float, ...] = field(
        default=(), metadata=_not_in("blessed", "properties", "junit", "index")
    )
    """By layer, for the sparkline."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"curve": list(self.curve)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MechanismRow:
        """The row that `as_dict` gave; what is null or no number is as if it were not there.

        Of a process of the same run: what a file holds is `runs.reading`'s to check.
        """
        known = {one.name for one in fields(cls)}
        row = {k: v for k, v in values.items() if k in known and v is not None and v == v}
        return cls(**row | {"curve": tuple(row.get("curve", ()))})

    @property
    def has_failed(self) -> bool:
        return self.outcome in FAILED

    @property
    def remark(self) -> str:
        """What must be read beside the verdict; that it is confirmed is counted at the end."""
        said = self.qualifier.split(", ")
        return ", ".join(part for part in said if part != CONFIRMED)


RESULT_FIELDS = tuple(one.name for one in fields(MechanismResult))
"""What results.json has of a row."""


def fields_in(place: Place) -> tuple[str, ...]:
    """Names of the fields that a place shows.

    >>> fields_in("blessed")[:5]
    ('id', 'task', 'verdict', 'expected', 'outcome')
    """
    return tuple(one.name for one in fields(MechanismRow) if place not in one.metadata)


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Things by their key, in the order in which the keys first appear.

    >>> grouped(["b", "aa", "c"], len)
    {1: ['b', 'c'], 2: ['aa']}
    """
    found: dict[Key, list[Item]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return found


def verdict_counts(rows: Iterable[MechanismResult]) -> dict[str, int]:
    """How many rows have each verdict, in the order of `VERDICTS`."""
    counts = Counter(row.verdict for row in rows)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def verdict_line(rows: Sequence[MechanismRow]) -> str:
    """The same in words, with those that are expected to fail."""
    said = []
    for verdict, count in verdict_counts(rows).items():
        known = sum(row.verdict == verdict and row.is_known_failure for row in rows)
        said.append(f"{count} {verdict}" + (f" ({known} as expected)" if known else ""))
    return ", ".join(said)


def incomplete_line(complete: bool, unfinished: Iterable[str]) -> str:
    """What every report says of a run that is not complete; empty where it is.

    >>> incomplete_line(False, ["1 of 4 tests of `flow` have not come to an end"])
    'incomplete run: 1 of 4 tests of `flow` have not come to an end'
    """
    return "" if complete else f"incomplete run: {'; '.join(unfinished) or 'it has ended early'}"

"""One line of every report: what became of one mechanism on one task of one checkpoint.

Rows are plain values, because they travel from test workers to the process that reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

VERDICTS = (
    "holds",
    "fails",
    "inconclusive",
    "precondition-failed",
    "instrument-dependent",
    "not-applicable",
)
CONFIRMED = "confirmed-by-counterfactual"
"""The qualifier of a verdict that another method of knocking out agrees with."""
OUTCOMES = ("passed", "failed", "xfailed", "xpassed", "inconclusive", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class MechanismRow:
    """A mechanism, its verdict, and the numbers behind it."""

    model: str
    """Slug of the checkpoint."""
    test: str
    """The pytest node id."""
    id: str
    task: str
    """A task, or `all` for a statement across tasks."""
    verdict: str
    outcome: str
    expected: str = "holds"
    """The verdict that the checkpoint's record or its baseline says to expect."""
    section: str = ""
    statement: str = ""
    tier: str = ""
    citation: str = ""
    name: str = ""
    """What was estimated, e.g. `peak`."""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    threshold: str = ""
    n: int | None = None
    qualifier: str = ""
    """What a reader must know beside the verdict."""
    reason: str = ""
    """Why there is no verdict from numbers."""
    seconds: float = 0.0
    curve: tuple[float, ...] = ()
    """By layer, for the sparkline."""
    baseline: str = ""
    """`same`, `drift`, `new` or `other-conditions`; empty where none is kept."""
    p_value: float | None = None
    """Of the verdict's null hypothesis, where the estimate gives one."""

    def as_dict(self) -> dict[str, Any]:
        """The row as values that JSON and execnet can carry."""
        return asdict(self) | {"curve": list(self.curve)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MechanismRow:
        """The row that `as_dict` gave."""
        known = {field.name for field in fields(cls)}
        row = {name: value for name, value in values.items() if name in known}
        return cls(**row | {"curve": tuple(row.get("curve", ()))})


def verdict_counts(rows: Iterable[MechanismRow]) -> dict[str, int]:
    """How many rows have each verdict, in the order of `VERDICTS`."""
    counts = Counter(row.verdict for row in rows)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}

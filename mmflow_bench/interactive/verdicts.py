"""Verdicts as a table: of mechanisms that were just decided, or that a run has left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from markupsafe import Markup
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mmflow_bench.interactive.presenting import frame_of, html_table, page_part
from mmflow_bench.mechanisms.numbers import bounds, counted, formatted
from mmflow_bench.reports.columns import printed
from mmflow_bench.reports.escaping import plain
from mmflow_bench.reports.signs import SIGNS, UNKNOWN
from mmflow_bench.reports.terminal import parts
from mmflow_bench.runs.rows import MechanismRow, verdict_line

COLUMNS = (
    "id", "task", "verdict", "expected", "outcome", "estimate", "low", "high", "unit", "threshold",
    "n", "images", "qualifier", "tier", "section", "statement", "reason", "name", "p_value",
)  # fmt: skip
_HEADS = ("mechanism", "task", "verdict", "asked", "estimate", "interval", "n/img")
_NUMBERS = 3


@dataclass(frozen=True)
class Verdicts(Sequence[MechanismRow]):
    """A row for each mechanism and task."""

    rows: tuple[MechanismRow, ...]
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Slug -> what is known of the checkpoint."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What has ended without a verdict, by its test, and why."""
    notes: tuple[str, ...] = ()
    """What must be read beside the rows."""

    @property
    def counts(self) -> str:
        """How many of each verdict, in words."""
        return verdict_line(self.rows)

    def of(self, mechanism: str, task: str) -> MechanismRow:
        """The row of a mechanism on a task.

        Raises:
            KeyError: There is none.
        """
        found = [row for row in self.rows if (row.id, row.task) == (mechanism, task)]
        if not found:
            known = ", ".join(f"{row.id} on {row.task}" for row in self.rows)
            raise KeyError(f"a row of {known}; got {mechanism} on {task}")
        return found[0]

    def to_frame(self) -> Any:
        """A pandas DataFrame, numbers as they are and not in percent.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame_of(({name: getattr(row, name) for name in COLUMNS} for row in self), COLUMNS)

    @overload
    def __getitem__(self, index: int) -> MechanismRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MechanismRow]: ...
    def __getitem__(self, index: int | slice) -> MechanismRow | Sequence[MechanismRow]:
        return self.rows[index]

    def __iter__(self) -> Iterator[MechanismRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        """How many of each verdict; `print` shows the table."""
        return f"<{self.counts or 'no verdicts'}>"

    def __str__(self) -> str:
        return printed(self._parts(100), width=100)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The closing table of a run."""
        yield from self._parts(options.max_width)

    def _parts(self, width: int) -> Iterator[RenderableType]:
        yield from parts(self.rows, self.facts, width)
        for line in self._lines():
            yield Text(plain(line, 400), style="yellow", overflow="fold")

    def _lines(self) -> list[str]:
        return [*(f"no verdict: {test}: {why}" for test, why in self.errors.items()), *self.notes]

    def _repr_html_(self) -> str:
        said = Markup("").join(Markup("<p>{}</p>").format(line) for line in self._lines())
        counts = Markup("<p>{} mechanisms: {}</p>").format(len(self.rows), self.counts)
        return page_part(html_table(_HEADS, map(_cells, self.rows), _NUMBERS), counts, said)


def _cells(row: MechanismRow) -> Sequence[str]:
    known = {"xfailed": " (known)", "xpassed": " (new)"}.get(row.outcome, "")
    remark = f" ({row.remark})" if row.remark else ""
    verdict = f"{SIGNS.get(row.verdict, UNKNOWN).page} {row.verdict}{known}{remark}"
    if row.estimate is None:
        return row.id, row.task, verdict, row.reason, "", "", ""
    return (
        row.id,
        row.task,
        verdict,
        f"{row.name} {row.threshold}",
        formatted(row.estimate, row.unit, is_aligned=True),
        bounds(row.low, row.high, row.unit),
        counted(row.n, row.images),
    )

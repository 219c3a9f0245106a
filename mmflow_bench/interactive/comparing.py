"""`mm.compare`: two runs on the same samples, paired, and the gate's decision on them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from mmflow_bench.baselines.comparing import compared_runs
from mmflow_bench.baselines.gate import GateDecision, gate_decision
from mmflow_bench.baselines.paired_experiment import NotComparable
from mmflow_bench.baselines.paired_records import BaselineComparison, ComparedRow
from mmflow_bench.baselines.tolerances import DECIDED, parse_alpha, parse_share, parse_tolerance
from mmflow_bench.errors import SelectionError
from mmflow_bench.interactive.presenting import frame_of, html_table, page_part
from mmflow_bench.interactive.reading import ReadRun
from mmflow_bench.interactive.run import Run
from mmflow_bench.reports.comparison_table import (
    headline,
    numbers_of,
    parts,
    signed_verdict,
    summary_line,
)
from mmflow_bench.reports.escaping import plain

_HEADS = ("mechanism", "task", "", "before", "after", "moved by", "interval", "n/img")
_NUMBERS = 5


@dataclass(frozen=True)
class Compared:
    """A checkpoint against its base, row by row, and whether it may pass as unchanged."""

    comparison: BaselineComparison
    gate: GateDecision

    @property
    def passed(self) -> bool:
        return self.gate.passed

    @property
    def why(self) -> tuple[str, ...]:
        """Every reason why it does not pass."""
        return self.gate.why

    @property
    def rows(self) -> tuple[ComparedRow, ...]:
        return self.comparison.rows

    def to_frame(self) -> Any:
        """A pandas DataFrame, a row for each number that was compared.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame_of(map(asdict, self.rows), [one.name for one in fields(ComparedRow)])

    def __repr__(self) -> str:
        """The two names and the gate's line; `rich.print` shows the table."""
        return f"<{plain(headline(self.comparison))}; gate: {plain(self.gate.line, 1000)}>"

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """The table of `mmflow compare`, and the decision."""
        yield from parts(self.comparison, options.max_width)
        style = "bold green" if self.passed else "bold red"
        yield Text(f"gate: {plain(self.gate.line, 1000)}", style=style, overflow="fold")

    def _repr_html_(self) -> str:
        rows = [(row.id, row.task, signed_verdict(row), *numbers_of(row)) for row in self.rows]
        line = Markup("<p><b>{}</b></p>")
        return page_part(
            line.format(headline(self.comparison)),
            html_table(_HEADS, rows, _NUMBERS),
            Markup("<p>{}</p>").format(summary_line(self.comparison)),
            line.format(f"gate: {self.gate.line}"),
        )


def compare(
    base: Run | ReadRun | Path | str,
    tuned: Run | ReadRun | Path | str,
    *mechanisms: str,
    tolerance: float | str | Mapping[str, float] | None = None,
    alpha: float = 0.05,
    decided: float = DECIDED,
    fail_on: Literal["regression", "inconclusive"] = "regression",
) -> Compared:
    """A checkpoint against its base, as `mmflow compare` decides it.

    Args:
        base: An open run, one that was read, its folder, or the name of a baseline.
        tuned: An open run, one that was read, or its folder.
        mechanisms: Ids and patterns that open runs decide first; every one of their suite without
            any.
        tolerance: How much may move: 0.1, "10%" or {"effect": 0.1, "depth": 0.05}.
        alpha: Error rate of the family of comparisons.
        decided: Share of the comparable rows that must be shown to be unchanged.
        fail_on: `inconclusive` fails on every row that the samples do not decide.

    Raises:
        MMFlowError: A run is not there, is not complete, or something cannot be measured.
        ValueError: An option cannot be understood.
    """
    if fail_on not in ("regression", "inconclusive"):
        raise ValueError(f"fail_on takes regression or inconclusive, got {fail_on!r}")
    if base is tuned:
        raise SelectionError(f"two runs, got the same one twice ({base!r})")
    margins = parse_tolerance(tolerance_text(tolerance))
    level, share = parse_alpha(str(alpha)), parse_share(str(decided))
    with _in_folder(base, mechanisms) as one, _in_folder(tuned, mechanisms) as other:
        try:
            found = compared_runs(
                str(one), str(other), margins, level, offline=False, allow_incomplete=False
            )
        except NotComparable as error:
            found = _refused(error, _named(base), _named(tuned), level, margins)
    gate = gate_decision(found, decided=share, fail_undecided=fail_on == "inconclusive")
    return Compared(found, gate)


@contextmanager
def _in_folder(run: Run | ReadRun | Path | str, mechanisms: Sequence[str]) -> Iterator[Path | str]:
    """What is compared of a run: its folder, written for the time being if it has none."""
    if isinstance(run, ReadRun):
        yield run.folder
    elif isinstance(run, Run):
        run.verdicts(*mechanisms)
        with tempfile.TemporaryDirectory() as folder:
            yield run.save(Path(folder) / "run")
    else:
        yield run


def _named(run: Run | ReadRun | Path | str) -> str:
    return run.name if isinstance(run, Run | ReadRun) else str(run)


def tolerance_text(tolerance: float | str | Mapping[str, float] | None) -> str | None:
    """Tolerances as the command line has them."""
    if isinstance(tolerance, Mapping):
        return ",".join(f"{name}={value}" for name, value in tolerance.items())
    return None if tolerance is None else str(tolerance)


def _refused(
    error: NotComparable, base: str, name: str, alpha: float, tolerance: Mapping[str, float]
) -> BaselineComparison:
    return BaselineComparison(
        base=base,
        name=name,
        kind="paired",
        alpha=alpha,
        tolerance=dict(tolerance),
        rows=(),
        refused=tuple(error.reasons),
    )

"""summary.md: a run as a comment on a pull request, its verdict first.

What changed is in the open, everything else is folded; every text of a user is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mmflow_bench.baselines.paired_records import (
    CHANGED,
    NOT_COMPARABLE,
    UNDECIDED,
    BaselineComparison,
    ComparedRow,
)
from mmflow_bench.mechanisms.numbers import bounds, formatted
from mmflow_bench.reports.comparison_table import (
    headline,
    numbers_of,
    signed_verdict,
    summary_line,
)
from mmflow_bench.reports.escaping import markdown as escaped
from mmflow_bench.reports.summary import Summary
from mmflow_bench.runs.rows import MechanismRow, verdict_counts

MOST_BYTES = 60_000
"""A comment on GitHub holds 65,536 characters."""
_CUT = "\n\n*cut here: the whole is in the run folder*\n"


def markdown(summary: Summary, *, most_bytes: int = MOST_BYTES) -> str:
    """The summary of a run; what is folded is left out where it would become too long."""
    open_parts = [_title(summary), *_open(summary)]
    folded = [*_folded_comparison(summary.comparison), *_folded_mechanisms(summary.rows)]
    parts = list(open_parts)
    for part in folded:
        # Cut between parts: half a table would be shown as text.
        if _size([*parts, part]) > most_bytes - len(_CUT):
            parts.append("*More is in the run folder.*")
            break
        parts.append(part)
    return cut("\n\n".join(parts) + "\n", most_bytes)


def cut(text: str, most_bytes: int) -> str:
    raw = text.encode()
    if len(raw) <= most_bytes:
        return text
    kept = raw[: max(0, most_bytes - len(_CUT.encode()))].decode(errors="ignore")
    return kept.rpartition("\n")[0] + _CUT


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _title(summary: Summary) -> str:
    name = escaped(summary.name)
    if summary.gate is None:
        return f"## {name}: {_counts(summary.rows)}"
    mark = "✅ gate passed" if summary.gate.passed else "❌ gate failed"
    return f"## {mark}: {name}"


def _open(summary: Summary) -> Iterable[str]:
    if summary.gate is not None and not summary.gate.passed:
        yield "\n".join(f"- {escaped(why, 1000)}" for why in summary.gate.why)
    comparison = summary.comparison
    if comparison is None:
        return
    yield escaped(headline(comparison), 400)
    if comparison.source:
        yield f"Source of the baseline: {escaped(comparison.source, 400)}"
    if comparison.refused:
        yield "\n".join(f"- not comparable: {escaped(why, 400)}" for why in comparison.refused)
        return
    yield f"**{escaped(summary_line(comparison))}**"
    if changed := comparison.of(CHANGED):
        yield _compared(changed)


def _folded_comparison(comparison: BaselineComparison | None) -> Iterable[str]:
    if comparison is None or not comparison.rows:
        return
    for verdict in (UNDECIDED, NOT_COMPARABLE):
        if rows := comparison.of(verdict):
            yield _details(f"{len(rows)} {verdict}", _compared(rows, has_reason=True))
    yield _details(f"All {len(comparison.rows)} comparisons", _compared(comparison.rows))
    counts = [
        (
            escaped(pairs.task),
            *map(str, (pairs.both, pairs.base_only, pairs.tuned_only, pairs.neither)),
            str(pairs.reworded),
        )
        for pairs in comparison.tasks
    ]
    if counts:
        head = ("task", "both", "baseline only", "checkpoint only", "neither", "reworded")
        yield _details("Questions answered correctly", table(head, counts))


def _folded_mechanisms(rows: Sequence[MechanismRow]) -> Iterable[str]:
    if not rows:
        return
    head = ("mechanism", "task", "verdict", "estimate", "interval", "n", "asked")
    cells = [
        (
            escaped(row.id),
            escaped(row.task),
            escaped(f"{row.verdict} ({row.outcome})"),
            formatted(row.estimate, row.unit, is_aligned=True),
            escaped(bounds(row.low, row.high, row.unit)),
            "" if row.n is None else str(row.n),
            escaped(row.threshold),
        )
        for row in rows
    ]
    yield _details(f"{len(rows)} mechanisms: {_counts(rows)}", table(head, cells))


def _compared(rows: Sequence[ComparedRow], *, has_reason: bool = False) -> str:
    head = ["mechanism", "task", "read", "before", "after", "difference", "interval", "n", ""]
    if has_reason:
        head[-1] = "why"
    return table(head, (_cells(row, has_reason=has_reason) for row in rows))


def _cells(row: ComparedRow, *, has_reason: bool) -> tuple[str, ...]:
    before, after, *rest = map(escaped, numbers_of(row))
    # Where only verdicts are known, they stand in the place of the numbers.
    numbers = (before or escaped(row.was), after or escaped(row.now), *rest)
    last = escaped(row.reason) if has_reason else signed_verdict(row)
    return (escaped(row.id), escaped(row.task), escaped(row.reading), *numbers, last)


def _details(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _counts(rows: Sequence[MechanismRow]) -> str:
    counts = verdict_counts(rows)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "no mechanisms"


def _size(parts: Sequence[str]) -> int:
    return len("\n\n".join(parts).encode())

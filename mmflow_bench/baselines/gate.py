"""What a comparison means for the exit code: one decision, printed and returned alike."""

from __future__ import annotations

from dataclasses import dataclass

from mmflow_bench.baselines.comparison import (
    CHANGED,
    NOT_COMPARABLE,
    UNDECIDED,
    Comparison,
    grouped,
)

POLICIES = ("strict", "mechanisms", "regression", "none")
"""What may make a run fail: everything, mechanisms that fail, changes, or nothing."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a gate lets a checkpoint pass, and every reason why not."""

    passed: bool
    why: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return "passed" if self.passed else f"failed: {'; '.join(self.why)}"


def judge(
    comparison: Comparison, *, fail_undecided: bool = False, fail_not_comparable: bool = False
) -> GateVerdict:
    """Whether a checkpoint may pass as unchanged.

    Nothing passes on nothing: a comparison that was refused, or that decided no mechanism on no
    task, fails whatever the policy.

    Args:
        comparison: Against its baseline.
        fail_undecided: Whether what the samples do not decide fails too.
        fail_not_comparable: Whether what cannot be compared fails too.
    """
    if comparison.refused:
        return GateVerdict(False, (f"not comparable: {'; '.join(comparison.refused)}",))
    why = []
    if comparison.changed:
        why.append(f"changed: {named(comparison, CHANGED)}")
    elif comparison.is_empty:
        why.append(f"nothing was decided ({_counts(comparison) or 'nothing to compare'})")
    if fail_undecided and comparison.of(UNDECIDED):
        why.append(f"undecided: {named(comparison, UNDECIDED)}")
    if fail_not_comparable and comparison.of(NOT_COMPARABLE):
        why.append(f"not comparable: {named(comparison, NOT_COMPARABLE)}")
    return GateVerdict(not why, tuple(why))


def named(comparison: Comparison, verdict: str) -> str:
    """Mechanisms with a verdict, each with its tasks."""
    found = grouped(comparison.of(verdict))
    return ", ".join(f"{name} ({', '.join(tasks)})" for name, tasks in found.items())


def _counts(comparison: Comparison) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in comparison.counts.items())

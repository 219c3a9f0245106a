"""Verdicts that a correction withdraws, and what becomes of their tests."""

from __future__ import annotations

import pytest

from mmflow_bench.plugin.multiplicity import corrected
from mmflow_bench.runs.outcomes import Policy
from mmflow_bench.runs.rows import MechanismRow


def row(verdict: str, p_value: float | None, outcome: str = "passed", **more) -> MechanismRow:
    return MechanismRow(
        model="m", id="x", task="all", verdict=verdict, expected="holds", outcome=outcome,
        p_value=p_value, **more,
    )  # fmt: skip


def after(rows, *, method="holm", **policy):
    return corrected(rows, method=method, alpha=0.05, policy=Policy(**policy))


@pytest.mark.parametrize("method", ["holm", "bh"])
def test_what_does_not_survive_is_inconclusive_and_says_why(method):
    rows = [row("holds", 0.001), row("fails", 0.04, "failed"), row("inconclusive", 0.3)]
    kept, withdrawn, open_row = after(rows, method=method)[0]
    assert kept is rows[0]
    assert open_row is rows[2]
    assert (withdrawn.verdict, withdrawn.outcome) == ("inconclusive", "inconclusive")
    assert withdrawn.reason == (
        f"does not survive {method} over 3 tested rows: fails by itself, p = 0.04"
    )


def test_what_is_exact_or_was_not_looked_at_is_no_test():
    others = [row("holds", None)] * 50 + [row("not-applicable", None, "skipped")] * 50
    (found, *_), said = after([row("holds", 0.04), *others])
    assert found.verdict == "holds"
    assert "1 of 1 verdicts survive over 1 tested rows" in said
    assert "50 without a p-value" in said


def test_what_was_tested_and_is_undecided_counts():
    rows = [row("holds", 0.02), row("inconclusive", 0.06), row("inconclusive", 0.9)]
    assert after(rows)[0][0].verdict == "inconclusive"
    assert after(rows[:2])[0][0].verdict == "holds"


def test_the_policy_says_whether_a_withdrawn_verdict_fails():
    rows = [row("holds", 0.04), row("holds", 0.04)]
    assert [one.outcome for one in after(rows)[0]] == ["inconclusive"] * 2
    assert [one.outcome for one in after(rows, inconclusive="fail")[0]] == ["failed"] * 2
    assert [one.outcome for one in after(rows, gate="strict")[0]] == ["failed"] * 2


def test_a_baseline_that_differs_still_decides():
    rows = [row("fails", 0.04, "failed", baseline="drift"), row("holds", 0.04)]
    assert after(rows)[0][0].outcome == "failed"


def test_no_correction_leaves_everything():
    rows = [row("holds", 0.04), row("holds", 0.04)]
    assert after(rows, method="none") == (rows, "")
    assert after([], method="holm") == ([], "")

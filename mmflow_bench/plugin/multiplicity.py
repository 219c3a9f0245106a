"""`--multiplicity`: verdicts that do not survive asking so much at once are withdrawn.

By its own interval a test has passed or failed before the others were known. When all are, what
does not survive the correction becomes `inconclusive`: in the row, and through it in every report
and in the exit code, and in what pytest has counted of the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmflow_bench.mechanisms.verdicts import DECIDED, Verdict
from mmflow_bench.plugin.judging import REPORT_ROW, apply, policy_of
from mmflow_bench.plugin.run import Run
from mmflow_bench.runs.outcomes import Ending, Outcome, Policy, outcome_of
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.statistics.combining import survives

_TESTED = DECIDED | {Verdict.INCONCLUSIVE, Verdict.INSTRUMENT_DEPENDENT}


def corrected(
    rows: Sequence[MechanismRow], *, method: str, alpha: float, policy: Policy
) -> tuple[list[MechanismRow], str]:
    """Rows after the correction over all that were tested, and what it has done in a line.

    What is exact (a count, the largest value) is no test, and stays as it is; what was tested and
    is undecided counts among the tests.

    Args:
        rows: Of the whole run.
        method: `none`, `holm` or `bh`.
        alpha: Error rate of the family.
        policy: What the options say of a test without a decision.
    """
    tested = [i for i, row in enumerate(rows) if row.verdict in _TESTED and row.p_value is not None]
    decided = [i for i in tested if rows[i].verdict in DECIDED]
    if method == "none" or not tested:
        return list(rows), ""
    p_values = [row.p_value if (row := rows[i]).verdict in DECIDED else 1.0 for i in tested]
    kept = survives([p or 0.0 for p in p_values], method=method, alpha=alpha)
    result = list(rows)
    for i, is_kept in zip(tested, kept, strict=True):
        if i in decided and not is_kept:
            result[i] = _withdrawn(rows[i], f"{method} over {len(tested)} tested rows", policy)
    withdrawn = sum(one is not other for one, other in zip(result, rows, strict=True))
    exact = sum(row.verdict in DECIDED and row.p_value is None for row in rows)
    said = (
        f"--multiplicity={method}: {len(decided) - withdrawn} of {len(decided)} verdicts survive "
        f"over {len(tested)} tested rows at alpha {alpha:g}; {withdrawn} withdrawn, {exact} "
        "without a p-value left as they are"
    )
    return result, said


def _withdrawn(row: MechanismRow, correction: str, policy: Policy) -> MechanismRow:
    reason = f"does not survive {correction}: {row.verdict} by itself, p = {row.p_value:.2g}"
    new = replace(row, verdict=str(Verdict.INCONCLUSIVE), reason=reason)
    return replace(new, outcome=_outcome(new, policy).word)


def _outcome(row: MechanismRow, policy: Policy) -> Outcome:
    """What becomes of a test whose verdict was withdrawn; a baseline that differs decides still."""
    has_failed = row.baseline == "drift"
    return outcome_of(
        Ending(
            verdict=row.verdict,
            reason=row.reason,
            baseline=row.baseline,
            is_refused=has_failed,
            report="failed" if has_failed else "skipped",
            has_raised=True,
        ),
        policy,
    )


def settle(run: Run, session: pytest.Session) -> None:
    """Correct the rows of a run that has ended, and what pytest has counted of their tests."""
    policy = policy_of(run.settings)
    method, alpha = run.settings.multiplicity, run.settings.alpha
    rows, said = corrected(run.rows, method=method, alpha=alpha, policy=policy)
    if said:
        run.notice(said)
    new = {row.test: row for old, row in zip(run.rows, rows, strict=True) if old is not row}
    run.rows = rows
    if new:
        _retell(session, new, policy)


def _retell(session: pytest.Session, rows: dict[str, MechanismRow], policy: Policy) -> None:
    """Sort the reports of some tests anew, as the closing summary counts them."""
    config = session.config
    stats = getattr(config.pluginmanager.get_plugin("terminalreporter"), "stats", {})
    told = [
        (known, report)
        for known in stats.values()
        for report in known
        if hasattr(report, REPORT_ROW) and report.nodeid in rows
    ]
    failed_before = session.testsfailed
    for known, report in told:
        known.remove(report)
        session.testsfailed -= report.failed
        row = rows[report.nodeid]
        apply(_outcome(row, policy), report)
        setattr(report, REPORT_ROW, row.as_dict())
        session.testsfailed += report.failed
        category, _, _ = config.hook.pytest_report_teststatus(report=report, config=config)
        stats.setdefault(category, []).append(report)
    if session.testsfailed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    elif failed_before and not session.testsfailed and not _has_unused_baselines(config):
        session.exitstatus = pytest.ExitCode.OK


def _has_unused_baselines(config: pytest.Config) -> bool:
    """Whether syrupy fails the run too; its exit code is that of a failed test."""
    report = getattr(getattr(config, "_syrupy", None), "report", None)
    return bool(getattr(report, "num_unused", 0))

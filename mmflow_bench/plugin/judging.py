"""From the end of a test to its report: verdict, baseline, outcome, row, properties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.baselines.golden import BaselineDrift
from mmflow_bench.errors import BaselineError, CheckpointError, StoreError
from mmflow_bench.mechanisms.sparkline import sparkline
from mmflow_bench.mechanisms.verdicts import DECIDED, Inconclusive, InstrumentDependent
from mmflow_bench.plugin.expecting import EXPECTED
from mmflow_bench.plugin.golden import compared
from mmflow_bench.plugin.models import MODEL_FIXTURE, model_of
from mmflow_bench.plugin.outcomes import Ending, Outcome, Policy, outcome_of
from mmflow_bench.plugin.rows import ROW, properties, row_of
from mmflow_bench.plugin.run import Run
from mmflow_bench.plugin.second_opinions import qualified
from mmflow_bench.runs.rows import MechanismRow


def judge(run: Run, item: pytest.Item, error: Exception | None) -> None:
    """Keep the row of a test that has ended with `error`.

    Raises:
        BaselineDrift: The row differs from the baseline, whatever the verdict is.
        Inconclusive: There is no baseline, and --baseline-missing=inconclusive.
    """
    row = row_of(item, error)
    if row is None:
        return
    if failed := _failed_checks(item, row):
        reason = f"the self-test failed ({', '.join(failed)}): {row.verdict} by itself"
        item.stash[ROW] = replace(row, verdict="instrument-dependent", reason=reason)
        raise InstrumentDependent(reason) from error
    row, drift = compared(item, qualified(item, row), run)
    item.stash[ROW] = row
    if drift is not None:
        raise drift from error
    policy = run.settings.baseline_missing
    if row.baseline == "new" and policy == "inconclusive" and row.verdict in DECIDED:
        reason = f"no baseline to compare with ({row.verdict} by itself)"
        item.stash[ROW] = replace(row, verdict="inconclusive", reason=reason)
        raise Inconclusive(reason) from error


def finish(
    run: Run, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> None:
    """Complete the report of one phase of a test of `flow`."""
    report.mmflow_model = model_of(item)  # type: ignore[attr-defined]
    error = call.excinfo.value if call.excinfo else None
    if report.failed and (text := _brief(error)):
        report.longrepr = text
    row = item.stash.get(ROW, None)
    if call.when != "call" or row is None:
        return
    outcome = outcome_of(_ending(item, row, error, report), _policy(run))
    _apply(outcome, item, report)
    row = replace(row, outcome=outcome.word, seconds=round(call.duration, 4))
    if report.failed and row.curve:
        report.sections.append(("mmflow curve by layer", sparkline(row.curve, 60)))
    report.mmflow_row = row.as_dict()  # type: ignore[attr-defined]
    # JUnit reads the item's properties at teardown, others read this report's.
    added = properties(row, run.identity.run_id)
    item.user_properties.extend(added)
    report.user_properties.extend(added)


def _ending(
    item: pytest.Item, row: MechanismRow, error: BaseException | None, report: pytest.TestReport
) -> Ending:
    expectation = item.stash.get(EXPECTED, None)
    # --runxfail asks pytest to forget that a failure is expected, whoever says so.
    is_known = expectation is not None and expectation.verdict == "fails"
    is_known &= not item.config.getoption("runxfail", default=False)
    return Ending(
        verdict=row.verdict,
        reason=row.reason,
        known=expectation.reason if expectation and is_known else "",
        baseline=row.baseline,
        is_refused=isinstance(error, BaselineDrift),
        report=report.outcome,
        has_raised=error is not None,
        xfail=getattr(report, "wasxfail", None),
    )


def _policy(run: Run) -> Policy:
    settings = run.settings
    return Policy(
        gate=settings.gate,
        inconclusive=settings.inconclusive,
        is_updating=settings.update_baselines,
    )


def _apply(outcome: Outcome, item: pytest.Item, report: pytest.TestReport) -> None:
    """Make pytest's report say the outcome: the only place that changes one."""
    report.outcome = outcome.report
    if outcome.xfail is not None:
        report.wasxfail = outcome.xfail
    elif hasattr(report, "wasxfail"):
        del report.wasxfail
    if outcome.text is not None and outcome.report == "skipped":
        path, line, _ = item.location
        report.longrepr = (str(path), (line or 0) + 1, outcome.text)
    elif outcome.text is not None:
        report.longrepr = outcome.text


def _failed_checks(item: pytest.Item, row: MechanismRow) -> list[str]:
    """Checks of the instrument whose failure leaves a decided verdict without ground."""
    if row.verdict not in DECIDED:
        return []
    planned = item.funcargs[MODEL_FIXTURE]  # type: ignore[attr-defined]
    return [check["name"] for check in planned.opened.self_test if not check["passed"]]


def _brief(error: BaseException | None) -> str | None:
    """The message of an error that no test line can explain; None leaves the traceback."""
    if not isinstance(error, CheckpointError | StoreError | BaselineError):
        return None
    has_cause = isinstance(error, BaselineError) and error.__cause__ is not None
    cause = f"\n\n{error.__cause__}" if has_cause else ""
    return f"{type(error).__name__}: {error}{cause}"

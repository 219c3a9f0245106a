"""From the end of a test to its report: verdict, baseline, outcome, row, properties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.baselines.golden import BaselineDrift
from mmflow_bench.errors import BaselineError, CheckpointError, NoComparison, StoreError
from mmflow_bench.mechanisms.comparisons import Recorder
from mmflow_bench.mechanisms.numbers import sparkline
from mmflow_bench.mechanisms.verdicts import DECIDED, Inconclusive, InstrumentDependent, Verdict
from mmflow_bench.plugin.collecting import EXPECTED
from mmflow_bench.plugin.golden import compared
from mmflow_bench.plugin.models import MODEL_FIXTURE, model_of, task_of
from mmflow_bench.plugin.run import Run, declaration_of
from mmflow_bench.plugin.second_opinions import qualified
from mmflow_bench.plugin.settings import Settings
from mmflow_bench.runs.judged import SNAPSHOT, UNCOMPARED, doubted, is_uncompared, judged
from mmflow_bench.runs.outcomes import Ending, Outcome, Policy, outcome_of
from mmflow_bench.runs.rows import ALL, MechanismRow, fields_in

RECORDER = pytest.StashKey[Recorder]()
"""The comparisons that a test has made."""
REPORT_ROW = "mmflow_row"
"""Attribute of a test report; xdist carries it to the controller."""
ROW = pytest.StashKey[MechanismRow]()
"""The row of a test whose call has ended."""


def judge(run: Run, item: pytest.Item, error: Exception | None) -> None:
    """Keep the row of a test that has ended with `error`.

    Raises:
        NoComparison: The test has passed without comparing any estimate.
        BaselineDrift: The row differs from the baseline, whatever the verdict is.
        Inconclusive: There is no baseline, and --baseline-missing=inconclusive.
    """
    # A snapshot compares with a stored value, which needs no interval.
    is_stored = SNAPSHOT in item.fixturenames  # type: ignore[attr-defined]
    if not is_stored and is_uncompared(item.stash.get(RECORDER, None), error):
        if error is None:
            raise NoComparison(UNCOMPARED)
        # It fails by itself; without an interval that is no verdict on a mechanism either.
        error.add_note(UNCOMPARED)
        return
    row = row_of(item, error)
    if row is None:
        return
    # Where the instrument itself is in doubt, neither a verdict nor a number has any ground.
    checks = item.funcargs[MODEL_FIXTURE].opened.self_test  # type: ignore[attr-defined]
    known = doubted(row, checks)
    if known is not row:
        item.stash[ROW] = known
        raise InstrumentDependent(known.reason) from error
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
    if isinstance(error, NoComparison):
        # It has passed: a mark that expects a failure must not be satisfied by our own.
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)
    if report.failed and (text := _brief(error)):
        report.longrepr = text
    row = item.stash.get(ROW, None)
    if call.when != "call" or row is None:
        return
    ending = _ending(item, row, error, report)
    outcome = outcome_of(ending, policy_of(run.settings))
    apply(outcome, report)
    # A mark of the user's says what is expected, too.
    expected = row.expected if ending.xfail is None else str(Verdict.FAILS)
    row = replace(row, outcome=outcome.word, expected=expected, seconds=round(call.duration, 4))
    if report.failed and outcome.text is None and is_told_by_table(item.config, row, error):
        report.longrepr = str(error).strip().partition("\n")[0]
        # So pytest marks what a debugger has shown, to leave it out of FAILURES.
        report._pdbshown = True  # type: ignore[attr-defined]
    elif report.failed and row.curve:
        report.sections.append(("mmflow curve by layer", sparkline(row.curve, 60)))
    setattr(report, REPORT_ROW, row.as_dict())
    # JUnit reads the item's properties at teardown, others read this report's.
    added = properties(row, run.identity.run_id)
    item.user_properties.extend(added)
    report.user_properties.extend(added)


def is_told_by_table(
    config: pytest.Config, row: MechanismRow, error: BaseException | None = None
) -> bool:
    """Whether a failure needs no traceback: its interval has failed, and nobody asks for more."""
    is_plain = row.verdict == Verdict.FAILS and not isinstance(error, BaselineDrift)
    is_plain &= row.estimate is not None
    return is_plain and config.option.tbstyle == "auto" and not config.option.showlocals


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


def policy_of(settings: Settings) -> Policy:
    return Policy(
        gate=settings.gate,
        inconclusive=settings.inconclusive,
        is_updating=settings.update_baselines,
    )


def apply(outcome: Outcome, report: pytest.TestReport) -> None:
    """Make pytest's report say the outcome: the only place that changes one."""
    report.outcome = outcome.report
    vars(report).pop("wasxfail", None)
    if outcome.xfail is not None:
        report.wasxfail = outcome.xfail
    if outcome.text is not None:
        path, line, _ = report.location
        # pytest shows where a test was skipped, from a triple alone.
        place = (str(path), (line or 0) + 1, outcome.text)
        report.longrepr = place if outcome.report == "skipped" else outcome.text


def _brief(error: BaseException | None) -> str | None:
    """The message of an error that no test line can explain; None leaves the traceback."""
    if not isinstance(error, CheckpointError | StoreError | BaselineError | NoComparison):
        return None
    has_cause = isinstance(error, BaselineError) and error.__cause__ is not None
    cause = f"\n\n{error.__cause__}" if has_cause else ""
    return f"{type(error).__name__}: {error}{cause}"


def row_of(item: pytest.Item, error: BaseException | None) -> MechanismRow | None:
    """The row of a test of `flow` that ended with `error`, outcome still open.

    None for a test of something else, and for an ending that is no verdict (a crash, a skip).
    """
    model = model_of(item)
    recorder = item.stash.get(RECORDER, None)
    if model is None or recorder is None:
        return None
    expectation = item.stash.get(EXPECTED, None)
    return judged(
        declaration_of(item),
        recorder,
        error,
        model=model,
        test=str(item.nodeid),
        task=task_of(item) or ALL,
        expected=expectation.verdict if expectation else "",
    )


def properties(row: MechanismRow, run_id: str) -> list[tuple[str, object]]:
    """What JUnit shows beside a test; plain Python values, for xdist cannot carry numpy's."""
    values = ((f"mmflow.{name}", getattr(row, name)) for name in fields_in("properties"))
    kept = [(name, value) for name, value in values if value not in (None, "")]
    return [("mmflow.run_id", run_id), ("mmflow.mechanism", row.id), *kept]

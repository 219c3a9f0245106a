"""From the end of a test to its report: verdict, baseline, outcome, row, properties."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.mechanisms.sparkline import sparkline
from mmflow_bench.plugin.comparing import compared
from mmflow_bench.plugin.models import MODEL_FIXTURE, model_of
from mmflow_bench.plugin.outcomes import (
    ROW,
    accept,
    outcome_of,
    properties,
    reshape,
    row_of,
    shorten,
    spare,
    undecided_policy,
)
from mmflow_bench.plugin.run import run_of
from mmflow_bench.plugin.twins import DECIDED, qualified
from mmflow_bench.runs.rows import MechanismRow


def judge(item: pytest.Item, error: Exception | None) -> None:
    """Keep the row of a test that has ended with `error`.

    Raises:
        BaselineDrift: The row differs from the baseline, whatever the verdict is.
        Inconclusive: There is no baseline, and --baseline-missing=inconclusive.
    """
    row = row_of(item, error)
    if row is None:
        return
    if failed := _failed_checks(item, row):
        from mmflow_bench.mechanisms.verdicts import InstrumentDependent

        reason = f"the self-test failed ({', '.join(failed)}): {row.verdict} by itself"
        item.stash[ROW] = replace(row, verdict="instrument-dependent", reason=reason)
        raise InstrumentDependent(reason) from error
    row, drift = compared(item, qualified(item, row))
    item.stash[ROW] = row
    if drift is not None:
        raise drift from error
    policy = run_of(item.config).settings.baseline_missing
    if row.baseline == "new" and policy == "inconclusive" and row.verdict in {"holds", "fails"}:
        from mmflow_bench.mechanisms.verdicts import Inconclusive

        reason = f"no baseline to compare with ({row.verdict} by itself)"
        item.stash[ROW] = replace(row, verdict="inconclusive", reason=reason)
        raise Inconclusive(reason) from error


def _failed_checks(item: pytest.Item, row: MechanismRow) -> list[str]:
    """Checks of the instrument whose failure leaves a decided verdict without ground."""
    planned = getattr(item, "funcargs", {}).get(MODEL_FIXTURE)
    if row.verdict not in DECIDED:
        return []
    return [check["name"] for check in getattr(planned, "self_test", ()) if not check["passed"]]


def finish(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Complete the report of one phase of a test of `flow`."""
    report.mmflow_model = model_of(item)  # type: ignore[attr-defined]
    error = call.excinfo.value if call.excinfo else None
    if error is not None:
        shorten(report, error)
    row = item.stash.get(ROW, None)
    if call.when != "call" or row is None:
        return
    run = run_of(item.config)
    if row.baseline != "drift":
        reshape(item, report, row, undecided_policy(run.settings))
        if run.settings.update_baselines:
            accept(report, row)
    spare(report, row, run.settings.gate)
    row = replace(row, outcome=outcome_of(report, row), seconds=round(call.duration, 4))
    if report.failed and row.curve:
        report.sections.append(("mmflow curve by layer", sparkline(row.curve, 60)))
    report.mmflow_row = row.as_dict()  # type: ignore[attr-defined]
    # JUnit reads the item's properties at teardown, others read this report's.
    added = properties(row, run.run_id)
    item.user_properties.extend(added)
    report.user_properties.extend(added)

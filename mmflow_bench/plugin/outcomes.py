"""From what a test raised to a verdict, an outcome and a row of the report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from mmflow_bench.errors import BaselineError, CheckpointError, StoreError
from mmflow_bench.plugin.models import function_of, mechanism_of, model_of, task_of
from mmflow_bench.plugin.planning import ALL_TASKS
from mmflow_bench.runs.rows import MechanismRow, fields_in

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.mechanism import Mechanism
    from mmflow_bench.mechanisms.recording import Recorder
    from mmflow_bench.plugin.settings import Settings

RECORDER = pytest.StashKey["Recorder"]()
"""The comparisons that a test has made."""
ROW = pytest.StashKey[MechanismRow]()
"""The row of a test whose call has ended."""
EXPECTED = pytest.StashKey[str]()
"""The verdict that the checkpoint's record or baseline expects."""

UNDECIDED = frozenset({"inconclusive", "instrument-dependent"})
NO_VERDICT_NEEDED = frozenset({"precondition-failed", "not-applicable"})


def verdict_of(error: BaseException | None) -> str | None:
    """The verdict that a test's ending stands for, or None when it is no verdict at all."""
    from mmflow_bench.mechanisms import verdicts
    from mmflow_bench.plugin.measuring import PreconditionFailed

    if error is None:
        return "holds"
    if isinstance(error, verdicts.Inconclusive):
        return str(getattr(error, "verdict", "inconclusive"))
    if isinstance(error, verdicts.NotApplicable):
        return "not-applicable"
    if isinstance(error, PreconditionFailed):
        return "precondition-failed"
    return "fails" if isinstance(error, AssertionError) else None


def row_of(item: pytest.Item, error: BaseException | None) -> MechanismRow | None:
    """The row of a test of `flow` that ended with `error`, outcome still open.

    None for a test of something else, and for an ending that is no verdict (a crash, a skip).
    """
    model = model_of(item)
    verdict = verdict_of(error) if model is not None else None
    if model is None or verdict is None:
        return None
    name = mechanism_of(item) or function_of(item)
    return MechanismRow(
        model=model,
        test=str(item.nodeid),
        id=name,
        task=task_of(item) or ALL_TASKS,
        verdict=verdict,
        outcome="passed",
        expected=item.stash.get(EXPECTED, "holds"),
        reason="" if error is None or verdict == "fails" else str(error),
        **_catalogued(name),
        **_numbers(item.stash.get(RECORDER, None)),
    )


def outcome_of(report: pytest.TestReport, row: MechanismRow) -> str:
    """The outcome of a finished call, in the words of results.json."""
    verdict = row.verdict
    if row.baseline == "drift":
        return "failed" if report.failed else "xfailed"
    if verdict in UNDECIDED:
        return "inconclusive" if not report.failed else "failed"
    if verdict in NO_VERDICT_NEEDED:
        return "skipped"
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and "[XPASS(strict)]" in str(report.longrepr):
        return "xpassed"
    return "passed" if report.passed else "failed"


def reshape(item: pytest.Item, report: pytest.TestReport, row: MechanismRow, policy: str) -> None:
    """Turn the report of an undecided or refused mechanism into a skip, or into a failure.

    Args:
        item: The test.
        report: Its call report, changed in place.
        row: Its row.
        policy: `report` or `fail`, what an undecided mechanism is.
    """
    if row.verdict not in UNDECIDED | NO_VERDICT_NEEDED:
        return
    # An expected failure that stays undecided is neither expected nor a failure.
    report.__dict__.pop("wasxfail", None)
    text = f"{row.verdict}: {row.reason}"
    if row.verdict in UNDECIDED and policy == "fail":
        report.outcome = "failed"
        report.longrepr = f"{text} (--inconclusive=fail)"
        return
    report.outcome = "skipped"
    path, line, _ = item.location
    report.longrepr = (str(path), (line or 0) + 1, text)


def accept(report: pytest.TestReport, row: MechanismRow) -> None:
    """Turn a failing mechanism that --snapshot-update has just stored into an expected failure."""
    if row.verdict == "fails" and row.baseline == "same" and report.failed:
        report.outcome = "skipped"
        report.wasxfail = "accepted as the baseline by --snapshot-update"


def undecided_policy(settings: Settings) -> str:
    """What an undecided mechanism is: `report` or `fail`; by itself, not against a baseline."""
    if settings.gate == "strict":
        return "fail"
    return settings.inconclusive if settings.gate == "mechanisms" else "report"


def spare(report: pytest.TestReport, row: MechanismRow, gate: str) -> None:
    """Turn a failing mechanism into an expected failure where the gate asks something else.

    That it fails is shown all the same: in the table, in results.json, and by pytest as xfailed.
    """
    is_asked = gate in {"strict", "mechanisms"} or (
        gate == "regression" and row.baseline == "drift"
    )
    if report.failed and not is_asked:
        report.outcome = "skipped"
        report.wasxfail = f"{row.verdict}, which --gate={gate} does not ask for"


def shorten(report: pytest.TestReport, error: BaseException) -> None:
    """Keep only the message of an error that no test line can explain."""
    if not report.failed or not isinstance(error, CheckpointError | StoreError | BaselineError):
        return
    cause = f"\n\n{error.__cause__}" if isinstance(error, BaselineError) else ""
    report.longrepr = f"{type(error).__name__}: {error}{cause if error.__cause__ else ''}"


def properties(row: MechanismRow, run_id: str) -> list[tuple[str, object]]:
    """What JUnit shows beside a test; plain Python values, for xdist cannot carry numpy's."""
    values, shown = row.as_dict(), fields_in("properties")
    kept = [(f"mmflow.{name}", values[name]) for name in shown if values[name] not in (None, "")]
    return [("mmflow.run_id", run_id), ("mmflow.mechanism", row.id), *kept]


def _catalogued(name: str) -> dict[str, Any]:
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    found: Mechanism | None = next((m for m in CATALOGUE if m.id == name), None)
    if found is None:
        return {"section": "mechanisms of one's own", "tier": "holds"}
    return {
        "section": found.section,
        "statement": found.statement,
        "tier": found.tier,
        "citation": found.citation,
    }


def _numbers(recorder: Recorder | None) -> dict[str, Any]:
    """The numbers that decided, of the least favourable comparison that the test has made."""
    deciding = recorder.deciding if recorder is not None else None
    if deciding is None:
        return {}
    estimate = deciding.estimate
    curve = estimate.curve if estimate.curve is not None else ()
    return {
        "name": str(estimate.name or ""),
        "estimate": _plain(estimate.value),
        "low": _plain(estimate.low),
        "high": _plain(estimate.high),
        "unit": str(estimate.unit),
        "n": int(estimate.n) if estimate.n is not None else None,
        "threshold": str(deciding.threshold),
        "curve": tuple(round(float(value), 6) for value in curve),
        "qualifier": deciding.qualifier,
        "p_value": _plain(deciding.p_value),
    }


def _plain(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None

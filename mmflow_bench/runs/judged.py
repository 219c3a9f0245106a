"""From the end of a mechanism's test to its row, whoever has run it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.comparisons import Recorder
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.mechanisms.paper import section_place
from mmflow_bench.mechanisms.verdicts import DECIDED, Verdict, verdict_of
from mmflow_bench.runs.rows import MechanismRow

ABSENT = "nothing beyond the noise, so no place and no ratio"
"""Why a mechanism fails whose number does not exist."""
SNAPSHOT = "flow_snapshot"
"""The fixture that compares with a stored value, which needs no interval."""
UNCOMPARED = (
    "a comparison of an estimate, got a test of `flow` that makes none; compare the estimate "
    "itself, as in `assert drop.peak <= -0.1`, so that its interval decides and not the bare "
    "number `drop.peak.value`"
)
_SAID_BY_NUMBERS = frozenset({Verdict.FAILS, Verdict.REPORT})


def is_uncompared(recorder: Recorder | None, error: BaseException | None) -> bool:
    """Whether a test has passed, or failed an assertion, of which no estimate was part.

    A test of the measurements alone has no flow to compare, and is none of a mechanism.
    """
    return verdict_of(error) in DECIDED and recorder is not None and not recorder.comparisons


def judged(
    declared: Declaration,
    recorder: Recorder,
    error: BaseException | None,
    *,
    model: str,
    test: str,
    task: str,
    expected: str = "",
) -> MechanismRow | None:
    """The row of a mechanism's test that ended with `error`, outcome still open.

    None for an ending that is no verdict (a crash, a skip).

    Args:
        declared: What the test declares.
        recorder: What it has compared.
        error: What it has raised, if anything.
        model: Slug of the checkpoint.
        test: Where the test is.
        task: A task, or `all`.
        expected: The verdict that somebody says to expect; empty where nobody does.
    """
    verdict = verdict_of(error)
    if verdict is None:
        return None
    row = MechanismRow(
        model=model,
        test=test,
        id=declared.id,
        task=task,
        verdict=str(verdict),
        outcome="passed",
        expected=expected or _usual(verdict),
        reason="" if error is None or verdict in _SAID_BY_NUMBERS else str(error),
        section=declared.section,
        statement=declared.statement,
        tier=declared.tier,
        citation=declared.citation,
    )
    return _with_reason(_with_numbers(row, recorder), recorder, error)


def doubted(row: MechanismRow, checks: Iterable[Mapping[str, Any]]) -> MechanismRow:
    """The row, without a verdict of its own where the instrument itself is in doubt."""
    failed = [check["name"] for check in checks if not check["passed"]]
    if not failed or row.verdict not in DECIDED | {Verdict.REPORT}:
        return row
    reason = f"the self-test failed ({', '.join(failed)}): {row.verdict} by itself"
    return replace(row, verdict=str(Verdict.INSTRUMENT_DEPENDENT), reason=reason)


def _usual(verdict: Verdict) -> str:
    """What is expected of a test that nobody has said anything of."""
    return str(verdict if verdict is Verdict.REPORT else Verdict.HOLDS)


def _with_reason(
    row: MechanismRow, recorder: Recorder, error: BaseException | None
) -> MechanismRow:
    """The row with a reason where its numbers do not say one: no verdict stands on nothing."""
    if row.reason:
        return row
    deciding = recorder.deciding
    if deciding is None:
        return replace(row, reason=f"decided by a stored value ({SNAPSHOT}), not by an interval")
    if row.estimate is None:
        # A curve without a drop has no place, and so on: of what is not there no claim holds.
        return replace(row, reason=f"no {row.name}: it is not defined on these samples")
    if row.verdict == Verdict.FAILS and deciding.verdict is not Verdict.FAILS:
        # Something else than the comparison shown has failed: a negation, or another assertion.
        said = str(error).strip().splitlines()
        return replace(row, reason=said[0] if said else "an assertion besides the comparisons")
    return row


def _with_numbers(row: MechanismRow, recorder: Recorder) -> MechanismRow:
    """The numbers that decided, of the least favourable comparison that the test has made."""
    deciding = recorder.deciding
    if deciding is None:
        return row
    estimate = deciding.estimate
    is_absent = not math.isfinite(estimate.value)
    return replace(
        row,
        reason=row.reason or (f"{ABSENT}: there is no {estimate.name}" if is_absent else ""),
        name=estimate.name,
        estimate=_plain(estimate.value),
        low=_plain(estimate.low),
        high=_plain(estimate.high),
        unit=estimate.unit,
        n=int(estimate.n),
        images=estimate.images,
        threshold=deciding.threshold,
        curve=tuple(round(float(value), 6) for value in estimate.curve or ()),
        qualifier=deciding.qualifier,
        p_value=_plain(deciding.tested),
    )


def _plain(value: float | None) -> float | None:
    """Python's own number, or None for one that JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None


def foretold(
    spec: CheckpointSpec, declared: Declaration, task: str | None
) -> tuple[str | None, str]:
    """The verdict that is expected of a mechanism, and who says so, before anything is measured."""
    if found := exception_for(spec.exceptions, declared.id, task):
        return found, "its record"
    if spec.paper_model in declared.fails_for:
        return "fails", "the paper"
    return None, ""


def exception_for(exceptions: Mapping[str, str], name: str, task: str | None) -> str | None:
    """The expected verdict of a mechanism, for its task or for all tasks."""
    return exceptions.get(f"{name}[{task}]") or exceptions.get(name)


def ordered(rows: Sequence[MechanismRow]) -> list[MechanismRow]:
    """Rows by checkpoint, section, mechanism and task: workers report in any order."""
    place = {mechanism.id: i for i, mechanism in enumerate(mechanisms(shipped()))}
    models = list(dict.fromkeys(row.model for row in rows))

    def key(row: MechanismRow) -> tuple[object, ...]:
        task = SIX_TASKS.index(row.task) if row.task in SIX_TASKS else len(SIX_TASKS)
        position = place.get(row.id, len(place))
        section = section_place(row.section)
        return models.index(row.model), section, position, row.id, task, row.task, row.test

    return sorted(rows, key=key)

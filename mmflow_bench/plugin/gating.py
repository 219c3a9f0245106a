"""The end of a gate: one decision from rows and comparisons, printed and exited alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mmflow_bench.baselines.gate import GATE, GateDecision, gate_decision, ground_lost
from mmflow_bench.baselines.gate_ground import CHECKPOINT, instrument_faults, unanswered
from mmflow_bench.errors import NOT_FINITE
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.plugin.ending import ENDED
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.power_table import comparison_could_have_seen, verdicts_could_have_seen
from mmflow_bench.runs.facts import Facts
from mmflow_bench.runs.folder import has_results, write_text
from mmflow_bench.runs.rows import FAILED, MechanismRow, grouped

_NOTHING = frozenset({"precondition-failed", "instrument-dependent"})


def conclude(run: Run, session: pytest.Session) -> None:
    """Decide whether the run passes, and make pytest exit as it is decided.

    A run that has failed already, or could not take place, keeps its own exit code.
    """
    run.gate = gate_of(run, exit_code=session.exitstatus)
    if run.gate is None:
        return
    if not run.gate.passed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    # Kept beside the results, for `mmflow report`.
    folders = [folder for folder in map(run.folder, run.settings.slugs) if has_results(folder)]
    for folder in folders:
        with run.noticing("the gate's decision was not kept"):
            write_text(folder / GATE, run.gate.as_json(run.settings.gate))


def gate_of(run: Run, *, exit_code: int) -> GateDecision | None:
    """Whether a run passes; None where nothing was asked of it.

    Args:
        run: After its rows and comparisons are known.
        exit_code: What pytest would exit with.
    """
    settings = run.settings
    if settings.gate == "none" or settings.update_baselines or run.config.option.collectonly:
        return None
    if not (run.rows or run.crashes):
        return _of_nothing(run) if exit_code in ENDED else None
    why = [*run.unfinished, *_without_ground(run)]
    if settings.gate in {"strict", "regression"}:
        why += _against_paired(run) if run.paired else _against_stored(run)
    if settings.gate in {"strict", "mechanisms"}:
        why += _by_themselves(run)
    has_failed = exit_code == pytest.ExitCode.TESTS_FAILED
    has_reason = bool(why)
    if has_failed and not why:
        failed = sum(row.outcome in FAILED for row in run.rows)
        why = [f"{failed} mechanisms failed" if failed else "a test or a worker failed"]
    # Without a gate in so many words, pytest's own summary has said everything already.
    is_said = settings.is_gate_explicit or settings.baseline is not None
    return GateDecision(not why, tuple(dict.fromkeys(why))) if is_said or has_reason else None


def could_have_seen(run: Run) -> list[str]:
    """What the gate's decision is worth: a sentence for each comparison, or for the verdicts."""
    if run.settings.gate != "mechanisms" and run.comparisons:
        several = len(run.comparisons) > 1
        said = [
            (f"{slug}: " if several else "", comparison_could_have_seen(comparison))
            for slug, comparison in run.comparisons.items()
        ]
        return [f"{prefix}{sentence}" for prefix, sentence in said if sentence]
    return [verdicts_could_have_seen(run.rows, run.settings.tolerance, run.settings.alpha)]


def _of_nothing(run: Run) -> GateDecision | None:
    """A run of no mechanism; None where the user has not asked for one."""
    option = run.config.option
    is_asked = option.mmflow_gate is not None or option.mmflow_baseline is not None
    if not is_asked and not (run.deselected and not run.selected):
        return None
    if run.unfinished:
        return GateDecision(False, ("nothing was measured", *run.unfinished))
    left = (
        f"--suite={run.settings.measurement.suite}, --mechanisms and --tasks have left no test"
        if run.deselected
        else "no test of `flow` ran"
    )
    return GateDecision(
        False, (f"nothing was measured: {left}; `mmflow ls mechanisms` lists what there is",)
    )


def _without_ground(run: Run) -> list[str]:
    """Why a run lets nothing pass, under every gate but `none`."""
    found = list(_by_checkpoint(run))
    if not found and run.rows and all(row.verdict == "not-applicable" for row in run.rows):
        return [f"nothing was measured: no mechanism applies ({_first_reasons(run.rows)})"]
    return found


def _by_checkpoint(run: Run) -> Iterator[str]:
    several = len(run.settings.slugs) > 1
    for slug in run.settings.slugs:
        comparison = run.comparisons.get(slug)
        reasons = list(ground_lost(comparison)) if comparison is not None else []
        # A comparison that was refused has not looked at the checkpoint alone.
        if comparison is None or comparison.refused:
            reasons += _alone(run, slug)
        for reason in reasons:
            yield f"{slug}: {reason}" if several else reason


def _alone(run: Run, slug: str) -> Iterator[str]:
    """The same of a checkpoint that was compared with nothing."""
    rows = [row for row in run.rows if row.model == slug]
    broken = sum(crash["model"] == slug for crash in run.crashes)
    facts = run.facts.get(slug, {})
    failed = [str(check["name"]) for check in facts.get("self_test", ()) if not check["passed"]]
    yield from instrument_faults(CHECKPOINT, failed, broken)
    yield from _without_numbers(facts)
    counts = {
        task: AnswerCount(
            task=task, selected=told["selected"], correct=told["correct"], unscored=told["unscored"]
        )
        for task, told in facts.get("tasks", {}).items()
    }
    # Controls hold on a checkpoint that answers nothing: they are about the instrument.
    chosen = [row for row in rows if row.tier != "control"]
    # An observation decides nothing, however well it was made.
    silent = _NOTHING | {"not-applicable", "report"}
    decided = [row for row in chosen or rows if row.verdict not in silent]
    refused = [row for row in chosen or rows if row.verdict in _NOTHING]
    no_answers = list(unanswered(CHECKPOINT, counts)) if rows and not broken else []
    if no_answers and not (chosen and decided):
        yield from no_answers
    elif refused and not decided and not failed:
        yield (
            f"nothing was decided: all {len(refused)} mechanisms are {_reasons(refused)} "
            f"({_first_reasons(refused)})"
        )


def _without_numbers(facts: Facts) -> Iterator[str]:
    """What was asked of a task and gave no finite number on any of its samples."""
    follows_all = facts.get("experiment", {}).get("follow") == "reference"
    lost = [
        f"{name} on {task}"
        for task, told in facts.get("tasks", {}).items()
        for name, reasons in told.get("edges_unscored", {}).items()
        if (number := reasons.get(NOT_FINITE))
        and number
        >= (told["selected"] - sum(told["unscored"].values()) if follows_all else told["correct"])
    ]
    if lost:
        yield (
            f"no finite number was measured: {', '.join(lost)}; look at the weights, or load them "
            "with another --model-args=dtype="
        )


def _against_paired(run: Run) -> Iterator[str]:
    """Why the comparisons sample by sample do not let the run pass."""
    settings, is_strict = run.settings, run.settings.gate == "strict"
    for slug in settings.slugs:
        prefix = f"{slug}: " if len(settings.slugs) > 1 else ""
        comparison = run.comparisons.get(slug)
        if comparison is None:
            yield f"{prefix}nothing was measured to compare with the baseline"
            continue
        verdict = gate_decision(
            comparison,
            decided=settings.decided,
            fail_undecided=is_strict or settings.inconclusive == "fail",
            fail_not_comparable=is_strict,
        )
        yield from (f"{prefix}{reason}" for reason in verdict.why)


def _against_stored(run: Run) -> list[str]:
    """Why the stored verdicts do not let the run pass."""
    settings = run.settings
    states = [row.baseline for row in run.rows]
    if drifted := states.count("drift"):
        return [f"{drifted} mechanisms differ from the stored baseline"]
    # A strict gate asks for the mechanisms too, so that it does not pass on nothing.
    if "same" in states or settings.gate == "strict":
        return []
    # --baseline-missing=inconclusive leaves it to --inconclusive what that means.
    may_be_missing = {"new": True, "inconclusive": settings.inconclusive == "report"}
    if settings.is_missing_explicit and may_be_missing.get(settings.baseline_missing):
        return []
    return ["nothing to compare with: no --baseline, and no stored one of these samples"]


def _by_themselves(run: Run) -> list[str]:
    """Why the mechanisms do not let the run pass, beyond tests that fail."""
    refused = [row for row in run.rows if row.verdict in _NOTHING]
    if run.settings.gate == "strict" and refused:
        return [f"{len(refused)} mechanisms could not be decided ({_reasons(refused)})"]
    return []


def _reasons(rows: Sequence[MechanismRow]) -> str:
    return ", ".join(dict.fromkeys(row.verdict for row in rows))


def _first_reasons(rows: Sequence[MechanismRow]) -> str:
    """What the first row of each task says: the others of the task say the same."""
    by_task = grouped(rows, lambda row: row.task)
    return "; ".join(dict.fromkeys(found[0].reason for found in by_task.values()))

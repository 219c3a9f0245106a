"""The end of a gate: one decision from rows and comparisons, printed and exited alike."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmflow_bench.baselines.gate import GATE, GateDecision, gate_decision
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.power_table import comparison_could_have_seen, verdicts_could_have_seen
from mmflow_bench.runs.folder import has_results, write_text
from mmflow_bench.runs.rows import MechanismRow

_NOTHING = frozenset({"precondition-failed", "instrument-dependent"})


def conclude(run: Run, session: pytest.Session) -> None:
    """Decide whether the run passes, and make pytest exit as it is decided.

    A run that has failed already, or could not take place, keeps its own exit code.
    """
    run.gate = gate_of(run, has_failed=session.exitstatus == pytest.ExitCode.TESTS_FAILED)
    if run.gate is None:
        return
    if not run.gate.passed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    # Kept beside the results, for `mmflow report`.
    folders = [folder for folder in map(run.folder, run.settings.slugs) if has_results(folder)]
    for folder in folders:
        with run.noticing("the gate's decision was not kept"):
            write_text(folder / GATE, run.gate.as_json(run.settings.gate))


def gate_of(run: Run, *, has_failed: bool) -> GateDecision | None:
    """Whether a run passes; None where nothing was asked of it.

    Args:
        run: After its rows and comparisons are known.
        has_failed: Whether a test has failed by itself.
    """
    settings = run.settings
    if settings.gate == "none" or settings.update_baselines or not (run.rows or run.crashes):
        return None
    why = []
    if settings.gate in {"strict", "regression"}:
        why += _against_paired(run) if run.comparisons else _against_stored(run)
    if settings.gate in {"strict", "mechanisms"}:
        why += _by_themselves(run)
    if has_failed and not why:
        why = [f"{sum(row.outcome in {'failed', 'xpassed'} for row in run.rows)} mechanisms failed"]
        if run.crashes:
            why.append(f"{len(run.crashes)} tests ended without a verdict")
    # Without a gate in so many words, pytest's own summary has said everything already.
    is_said = settings.is_gate_explicit or settings.baseline is not None
    is_new = bool(why) and not has_failed
    return GateDecision(not why, tuple(why)) if is_said or is_new else None


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


def _against_paired(run: Run) -> list[str]:
    """Why the comparisons sample by sample do not let the run pass."""
    is_strict = run.settings.gate == "strict"
    fails_undecided = is_strict or run.settings.inconclusive == "fail"
    why = []
    for slug, comparison in run.comparisons.items():
        verdict = gate_decision(
            comparison, fail_undecided=fails_undecided, fail_not_comparable=is_strict
        )
        prefix = f"{slug}: " if len(run.comparisons) > 1 else ""
        why += [f"{prefix}{reason}" for reason in verdict.why]
    return why


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
    # Controls hold on a checkpoint that answers nothing: they are about the instrument.
    rows = [row for row in run.rows if row.tier != "control"] or run.rows
    decided = [row for row in rows if row.verdict not in _NOTHING | {"not-applicable"}]
    refused = [row for row in rows if row.verdict in _NOTHING]
    if not decided and refused:
        return [f"nothing was decided: all {len(refused)} mechanisms are {_reasons(refused)}"]
    if run.rows and not decided and run.settings.is_gate_explicit:
        return ["nothing was decided: no mechanism applies to these samples"]
    return []


def _reasons(rows: Sequence[MechanismRow]) -> str:
    return ", ".join(dict.fromkeys(row.verdict for row in rows))

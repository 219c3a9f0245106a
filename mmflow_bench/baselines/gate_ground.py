"""What a comparison stands on, beside its rows: nothing passes on nothing (docs/decisions/016).

Equal numbers of two checkpoints that answer nothing, or that no intact instrument has read, are no
evidence that nothing has changed. Each reason is one line that says why, and what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_records import Change, ComparedRow, tasks_by_mechanism
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.baselines.row_values import has_values
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.verdicts import MINIMUM_ACCURACY, Verdict
from mmflow_bench.runs.rows import ALL

ACCURACY = "accuracy"
GONE = "no drop in the checkpoint to have a place, where the baseline shows one"
IN_NEITHER = (
    "no drop in either to have a place",
    "no drop is shown in either to have a place",
)
"""Reasons that are no loss: there is nothing to compare."""
BASELINE, CHECKPOINT = "baseline", "checkpoint"


def instrument_faults(whose: str, failed_checks: Collection[str], broken: int) -> Iterator[str]:
    """Why the numbers of one side have no ground, whatever they are."""
    if failed_checks:
        yield (
            f"the self-test failed on the {whose} ({', '.join(failed_checks)}): its numbers have "
            "no ground; results.json says what each check saw and where to look"
        )
    if broken:
        yield (
            f"{broken} {'test' if broken == 1 else 'tests'} of the {whose} ended without a "
            "verdict: see the errors in results.json, and run again"
        )


def unanswered(whose: str, counts: Mapping[str, AnswerCount]) -> Iterator[str]:
    """That no question could be used, where that is so."""
    if any(count.scored for count in counts.values()):
        return
    why = [
        f"{task}: " + ", ".join(f"{reason} {n}" for reason, n in sorted(count.unscored.items()))
        for task, count in counts.items()
        if count.unscored
    ]
    yield (
        f"no question of the {whose} could be used ({'; '.join(why) or 'none was selected'}): look "
        "at --questions, --images, --tasks and --limit"
    )


def baseless(
    base: RunValues | None, tuned: RunValues, rows: Sequence[ComparedRow], asked: Sequence[GateRow]
) -> Iterator[str]:
    """Why the rows of a comparison do not say what they seem to.

    Args:
        base: None where the baseline has verdicts only.
        tuned: The checkpoint.
        rows: What was compared.
        asked: The rows of the gate set that were to be compared.
    """
    for whose, run in ((BASELINE, base), (CHECKPOINT, tuned)):
        if run is not None:
            yield from instrument_faults(whose, run.failed_checks, run.broken)
    # Runs of before there were counts have answers all the same.
    if tuned.verdicts and (tuned.counts or not tuned.answers):
        yield from unanswered(CHECKPOINT, tuned.counts)
    yield from _all_below(tuned)
    for whose in (BASELINE, CHECKPOINT):
        if missing := [row for row in rows if row.missing_in == whose]:
            yield (
                f"{len(missing)} rows are missing in the {whose}: {_named(missing)}; measure them "
                "on both sides, or leave them out with --mechanisms and --tasks"
            )
    if base is not None:
        yield from list(_no_flow(rows, asked)) or _mostly_silent(base, rows, asked)


def lost(base: RunValues, tuned: RunValues, rows: Sequence[ComparedRow]) -> Iterator[str]:
    """What the checkpoint answers no longer.

    That is a fact about these very questions, whether or not so few of them show it of others.
    """
    gone = [task for task in _refused(tuned) if is_mastered(base, task)]
    if gone and not _are_all_below(tuned):
        said = ", ".join(
            f"{task} ({_share(base, task)} before, {_share(tuned, task)})" for task in gone
        )
        yield f"below the precondition of {MINIMUM_ACCURACY:.0%} that the baseline meets: {said}"
    more = {
        key: number
        for key, number in tuned.overflowed.items()
        if number > base.overflowed.get(key, 0)
    }
    if more:
        said = ", ".join(f"{name} on {task}: {number}" for (task, name), number in more.items())
        yield (
            f"numbers of the checkpoint are not finite where those of the baseline are ({said} "
            "samples): look at its weights, or load it with another --model-args=dtype="
        )
    if vanished := [row for row in rows if row.reason == GONE]:
        yield f"a drop that the baseline shows is not in the checkpoint: {_named(vanished)}"
    fallen = [
        row
        for row in rows
        if row.reading == ACCURACY
        and row.difference is not None
        and row.margin is not None
        # What is stored is rounded: a fall of just the tolerance is not one by more.
        and row.difference < -row.margin - 1e-6
    ]
    if fallen:
        margin = formatted(fallen[0].margin, ACCURACY)
        said = ", ".join(
            f"{row.task} {formatted(row.before, ACCURACY)} to {formatted(row.after, ACCURACY)}"
            for row in fallen
        )
        yield f"accuracy fell by more than {margin} (--tolerance=accuracy=): {said}"


def is_mastered(run: RunValues, task: str) -> bool:
    """Whether a run meets the usual precondition on a task; true where its answers are unknown."""
    count = run.counts.get(task)
    if task in _refused(run):
        return False
    return count is None or (count.scored > 0 and count.accuracy >= MINIMUM_ACCURACY)


def below(run: RunValues, task: str) -> str:
    """Why a task has no mechanism to speak of in a run; empty where it has."""
    if task not in _refused(run):
        return ""
    return f"below its precondition ({_share(run, task)}, {MINIMUM_ACCURACY:.0%} are needed)"


def _refused(run: RunValues) -> list[str]:
    """Tasks that mechanisms were refused on; one of all tasks is refused for any of them."""
    found = {
        task for (_, task), said in run.verdicts.items() if said == Verdict.PRECONDITION_FAILED
    }
    if ALL in found:
        found |= {
            task
            for task, count in run.counts.items()
            if not count.scored or count.accuracy < MINIMUM_ACCURACY
        }
    return sorted(found - {ALL})


def _are_all_below(run: RunValues) -> bool:
    refused = _refused(run)
    return bool(refused) and set(run.counts) <= set(refused)


def _all_below(run: RunValues) -> Iterator[str]:
    if _are_all_below(run) and any(count.scored for count in run.counts.values()):
        said = ", ".join(f"{task} {_share(run, task)}" for task in run.counts)
        yield (
            f"every task is below its precondition of {MINIMUM_ACCURACY:.0%} ({said}): ask what "
            "the checkpoint can answer, or follow the reference answer (--follow=reference)"
        )


def _mostly_silent(
    base: RunValues, rows: Sequence[ComparedRow], asked: Sequence[GateRow]
) -> Iterator[str]:
    """That most of what the baseline has measured could not be compared, where that is so."""
    had = {
        (row.id, row.reading, row.task)
        for row in rows
        for one in asked
        if (one.id, one.reading) == (row.id, row.reading) and has_values(base, one, row.task)
    }
    comparable = [row for row in rows if row.verdict != Change.NOT_COMPARABLE]
    silent = [
        row
        for row in rows
        if row.verdict == Change.NOT_COMPARABLE
        and row.reason not in IN_NEITHER
        and (row.id, row.reading, row.task) in had
    ]
    if len(silent) > len(comparable):
        why = "; ".join(dict.fromkeys(row.reason for row in silent))
        yield (
            f"{len(silent)} of {len(silent) + len(comparable)} rows that the baseline has could "
            f"not be compared: {why}"
        )


def _no_flow(rows: Sequence[ComparedRow], asked: Sequence[GateRow]) -> Iterator[str]:
    comparable = [row for row in rows if row.verdict != Change.NOT_COMPARABLE]
    if any(row.reading != ACCURACY for row in comparable):
        return
    # Who asks for the accuracy alone, by name, has asked for no flow.
    if comparable and asked and all(row.reading == ACCURACY for row in asked):
        return
    what = f"only accuracy ({len(comparable)} rows)" if comparable else "nothing"
    why = (
        "; ".join(dict.fromkeys(row.reason for row in rows if row.reason)) or "nothing was measured"
    )
    yield f"no flow was compared, {what}: {why}"


def _named(rows: Sequence[ComparedRow]) -> str:
    found = tasks_by_mechanism(rows)
    return ", ".join(f"{name} ({', '.join(tasks)})" for name, tasks in found.items())


def _share(run: RunValues, task: str) -> str:
    count = run.counts.get(task)
    return f"{count.correct} of {count.scored} correct" if count is not None else "not answered"

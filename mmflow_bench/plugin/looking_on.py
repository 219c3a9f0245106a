"""More looks for the sake of the baseline: until what is compared with it is decided too.

A comparison needs both checkpoints on the same samples, and all that is compared of a task on the
same of them. So it goes through the looks by itself, whatever the mechanisms have needed, until
every row of the task is shown to be changed or unchanged, or all samples are used up: every process
ends at the same look.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from mmflow_bench.baselines.gate_set import gate_set
from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_records import BaselineComparison, Change
from mmflow_bench.baselines.paired_values import RunValues, read_values
from mmflow_bench.errors import MMFlowError
from mmflow_bench.mechanisms.looking import Looking, on_first
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.plugin.keeping import write_facts
from mmflow_bench.plugin.opening import opened_planned
from mmflow_bench.plugin.paired import measure_as
from mmflow_bench.plugin.run import PairedBaseline, Run
from mmflow_bench.runs.keeping import facts_of, write_samples


def look_on(run: Run, slug: str, looking: Looking) -> None:
    """Measure a checkpoint and its baseline until they are compared, task by task.

    What cannot be compared is left to the comparison at the end, which says why.
    """
    try:
        paired = run.paired
        if paired is None or paired.source.kind == "verdicts":
            return
        base = opened_planned(run, paired.spec, {}) if paired.spec is not None else None
        for task in sorted(looking.last_looks()):
            _look_on(run, looking, task, paired, base)
    except MMFlowError as error:
        run.notice(f"{slug}: no more was looked at for the baseline: {error}")


def _look_on(
    run: Run,
    looking: Looking,
    task: str,
    paired: PairedBaseline,
    base: PlannedMeasurements | None,
) -> None:
    for number in range(len(looking.looks)):
        first = looking.first(number, [task])
        tuned = _tuned_on(looking, first, task)
        looking.at(number).take(tuned)
        order = tuned.order(task)
        assert order is not None
        tuned.compared = {task: order}
        after = _values_of(run, tuned)
        looking.whole.opened.close()
        before = _before(run, paired, base, tuned, first, looking.looks[0].looks)
        found = compare_runs(
            before,
            after,
            tolerance=run.settings.tolerance,
            alpha=run.settings.alpha,
            own=tuple(run.own_gate),
        )
        rest = _undecided(found, alpha=run.settings.alpha, tasks=len(looking.whole.tasks))
        looking.compared[task] = order
        if not rest:
            return
        looking.tell(f"{rest} rows against the baseline open at {first[task]} images of {task}")


def _tuned_on(looking: Looking, first: Mapping[str, int], task: str) -> PlannedMeasurements:
    """The checkpoint on some images of a task, with all that is compared."""
    tuned = looking.on(first)
    for want in looking.wants_compared(task):
        tuned.table(task, want)
    tuned.accuracy(task)
    return tuned


def _before(
    run: Run,
    paired: PairedBaseline,
    base: PlannedMeasurements | None,
    tuned: PlannedMeasurements,
    first: Mapping[str, int],
    looks: int,
) -> RunValues:
    """The baseline's values: of a run that is there, or measured on the same samples."""
    if base is None:
        assert paired.source.folder is not None
        return read_values(paired.source.folder)
    on = on_first(base, first, looks=looks)
    measure_as(on, tuned)
    values = _values_of(run, on)
    base.opened.close()
    return values


def _values_of(run: Run, planned: PlannedMeasurements) -> RunValues:
    """What a comparison would read in the run folder of these measurements."""
    with tempfile.TemporaryDirectory() as folder:
        write_samples(planned, Path(folder))
        write_facts(run, Path(folder), [], facts_of(planned))
        return read_values(Path(folder))


def _undecided(found: BaselineComparison, *, alpha: float, tasks: int) -> int:
    """How many rows are open; a change must survive the rows of all tasks, not of this one."""
    most = max(1, len(gate_set()) * tasks)
    share = most / max(1, len(found.rows))
    return sum(
        row.verdict == Change.UNDECIDED
        or (row.verdict == Change.CHANGED and share * (row.p_changed or 0.0) > alpha)
        for row in found.rows
    )

"""The paired baseline: measured beside the checkpoint if need be, compared sample by sample."""

from __future__ import annotations

from pathlib import Path

from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_experiment import NotComparable, refuse_limited
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.paired_values import RunValues, read_values
from mmflow_bench.baselines.verdict_level import compare_verdicts
from mmflow_bench.errors import BaselineError, MMFlowError
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.plugin.keeping import keep, write_facts
from mmflow_bench.plugin.opening import opened_planned
from mmflow_bench.plugin.run import PairedBaseline, Run

FOLDER = "baseline"
"""Beside a run's own tables: those of a baseline that was measured for it."""

FACTS = "baseline:{}"
"""The name under which facts of a measured baseline are kept; no slug has a colon."""


def measure_baseline(run: Run, slug: str, tuned: PlannedMeasurements) -> None:
    """Measure a baseline checkpoint on what this process has measured of `slug`."""
    paired = run.paired
    if paired is None or paired.spec is None or not tuned.counts:
        return
    name = FACTS.format(slug)
    try:
        base = opened_planned(run, paired.spec, {})
        if run.settings.stat == "anytime":
            base = base.on(base.opened.samples.as_far_as(tuned.opened.samples.orders))
        measure_as(base, tuned)
        keep(run, name, base, run.folder(slug) / FOLDER)
        base.opened.close()
    except MMFlowError as error:
        run.learn({name: {"error": str(error)}})


def refuse_baseline(run: Run, slug: str, why: str) -> None:
    """Say why a baseline checkpoint was not measured beside `slug`, where there is one."""
    if run.paired is not None and run.paired.spec is not None:
        run.learn({FACTS.format(slug): {"error": why}})


def measure_as(base: PlannedMeasurements, tuned: PlannedMeasurements) -> None:
    """Ask a baseline for all that was asked of the checkpoint, task by task."""
    for task in [task for task in tuned.counts if task in base.tasks]:
        # One of another depth will not be comparable, and says so by its facts alone.
        if base.decoder_layers == tuned.decoder_layers:
            wants = [want for known, want in tuned.tables if known == task and want.is_compared]
            base.ensure(task, wants)
            for want in wants:
                base.table(task, want)
        base.accuracy(task)


def compared_run(run: Run, slug: str, folder: Path) -> BaselineComparison | None:
    """A finished run folder against the baseline; None without one.

    A baseline that cannot be compared gives a comparison that says why.
    """
    paired = run.paired
    if paired is None:
        return None
    try:
        return _compared(run, paired, slug, folder)
    except MMFlowError as error:
        reasons = error.reasons if isinstance(error, NotComparable) else [str(error)]
        return BaselineComparison(
            base=paired.source.name,
            name=slug,
            kind="paired",
            alpha=run.settings.alpha,
            tolerance=dict(run.settings.tolerance),
            rows=(),
            refused=tuple(reasons),
        )


def _compared(run: Run, paired: PairedBaseline, slug: str, folder: Path) -> BaselineComparison:
    settings, source = run.settings, paired.source
    tuned = read_values(folder)
    if source.kind == "verdicts":
        return compare_verdicts(
            source.name, source.verdicts, tuned, alpha=settings.alpha, source=source.origin
        )
    base = read_values(source.folder) if source.folder else _measured_base(run, slug, folder)
    if source.is_blessed:
        refuse_limited(base, tuned)
    own = tuple(run.own_gate)
    return compare_runs(base, tuned, tolerance=settings.tolerance, alpha=settings.alpha, own=own)


def _measured_base(run: Run, slug: str, folder: Path) -> RunValues:
    """The values of a baseline that this run has measured, written beside its own first."""
    facts = run.facts.get(FACTS.format(slug), {})
    if not facts.get("checkpoint"):
        raise BaselineError(str(facts.get("error") or "no task of the baseline was measured"))
    with run.noticing(f"results of the baseline of {slug} were not kept"):
        write_facts(run, folder / FOLDER, [], facts)
    return read_values(folder / FOLDER)

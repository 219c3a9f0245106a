"""The baseline of a run: found when the run starts, measured beside the checkpoint if need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.errors import BaselineError, MMFlowError
from mmflow_bench.plugin.comparing import baseline_roots
from mmflow_bench.plugin.planning import Plan

if TYPE_CHECKING:
    from mmflow_bench.baselines.comparison import Comparison
    from mmflow_bench.baselines.sources import Source
    from mmflow_bench.baselines.values import RunValues
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.plugin.measuring import PlannedMeasurements
    from mmflow_bench.plugin.run import Run

FOLDER = "baseline"
"""Beside a run's own tables: those of a baseline that was measured for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What checkpoints are compared with."""

    source: Source
    spec: CheckpointSpec | None = None
    """Of a checkpoint that has to be measured too."""


def resolve_baseline(run: Run) -> Against | None:
    """What `--baseline` names; reads no weights.

    None without the option, and where --baseline-missing says that there may be none yet.

    Raises:
        pytest.UsageError: There is no such baseline, and there has to be.
    """
    from mmflow_bench.baselines.sources import find_source
    from mmflow_bench.checkpoints.settings import resolve_spec

    settings = run.settings
    if settings.baseline is None:
        return None
    start = run.config.invocation_params.dir
    offline = settings.checkpoint.offline
    try:
        source = find_source(
            settings.baseline, roots=baseline_roots(run), start=start, offline=offline
        )
        is_measured = source.kind == "checkpoint"
        spec = resolve_spec(source.name, settings.checkpoint) if is_measured else None
    except MMFlowError as error:
        if settings.is_missing_explicit and settings.baseline_missing != "fail":
            run.notice(f"baseline: {settings.baseline} is not there yet; not compared ({error})")
            return None
        raise pytest.UsageError(
            f"--baseline={settings.baseline}: {error}. --baseline-missing=new lets a run pass "
            "that has none yet"
        ) from error
    return Against(source=source, spec=spec)


def measure_baseline(run: Run, slug: str, tuned: PlannedMeasurements) -> None:
    """Measure a baseline checkpoint on what this process has measured of `slug`."""
    against = run.against
    if against is None or against.spec is None or not tuned.counts:
        return
    from mmflow_bench.plugin.fixtures import open_measurements, progress_bar
    from mmflow_bench.plugin.measuring import PlannedMeasurements

    name, bar = fact_name(slug), progress_bar(run)
    try:
        measurements = open_measurements(run, against.spec, bar)
        base = PlannedMeasurements(
            measurements, model=name, plan=Plan(), window=run.settings.measurement.window, bar=bar
        )
        _measure_as(base, tuned)
        run.keep_as(name, base, run.folder(slug) / FOLDER)
    except MMFlowError as error:
        run.merge({name: {"error": str(error)}})


def _measure_as(base: PlannedMeasurements, tuned: PlannedMeasurements) -> None:
    """Ask a baseline for all that was asked of the checkpoint, task by task."""
    for task in [task for task in tuned.counts if task in base.tasks]:
        if base.decoder_layers != tuned.decoder_layers:
            base.accuracy(task)
            continue  # which is why it will not be comparable
        masked = {
            (edge, width)
            for known, edge, width, method in tuned.sweeps
            if known == task and method == "masked" and width == tuned.width
        }
        lenses = {key for key in tuned.lenses if key[0] == task}
        base.ensure(task, pairs=tuple(sorted(masked)), lens=bool(lenses))
        for edge, width in sorted(masked):
            base.sweep(task, edge, width=width, method="masked")
        for _, probe, variant in sorted(lenses):
            base.lens(task, probe=probe, variant=variant)
        base.accuracy(task)


def compared_run(run: Run, slug: str, folder: Path) -> Comparison | None:
    """A finished run folder against the baseline; None without one.

    A baseline that cannot be compared gives a comparison that says why.
    """
    against = run.against
    if against is None:
        return None
    from mmflow_bench.baselines.comparison import Comparison
    from mmflow_bench.baselines.experiment import NotComparable

    settings = run.settings
    try:
        return _compared(run, against, slug, folder)
    except (BaselineError, MMFlowError) as error:
        reasons = error.reasons if isinstance(error, NotComparable) else [str(error)]
        return Comparison(
            base=against.source.name,
            name=slug,
            kind="paired",
            alpha=settings.alpha,
            tolerance=dict(settings.tolerance),
            rows=(),
            refused=tuple(reasons),
        )


def fact_name(slug: str) -> str:
    """The name under which facts of a measured baseline are kept; no slug has a colon."""
    return f"baseline:{slug}"


def _compared(run: Run, against: Against, slug: str, folder: Path) -> Comparison:
    from mmflow_bench.baselines.comparing import compare
    from mmflow_bench.baselines.experiment import refuse_limited
    from mmflow_bench.baselines.values import read_values
    from mmflow_bench.baselines.verdict_level import compare_verdicts

    settings, source = run.settings, against.source
    tuned = read_values(folder)
    if source.kind == "verdicts":
        return compare_verdicts(
            source.name, source.verdicts, tuned, alpha=settings.alpha, source=source.origin
        )
    base = read_values(source.folder) if source.folder else _measured_base(run, slug, folder)
    if source.is_blessed:
        refuse_limited(base, tuned)
    return compare(base, tuned, tolerance=settings.tolerance, alpha=settings.alpha)


def _measured_base(run: Run, slug: str, folder: Path) -> RunValues:
    """The values of a baseline that this run has measured, written beside its own first."""
    from mmflow_bench.baselines.values import read_values
    from mmflow_bench.plugin.closing import write_facts

    facts = run.facts.get(fact_name(slug), {})
    if not facts.get("checkpoint"):
        raise BaselineError(str(facts.get("error") or "no task of the baseline was measured"))
    write_facts(run, folder / FOLDER, [], facts)
    return read_values(folder / FOLDER)

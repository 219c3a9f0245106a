"""Measurements of the run's checkpoints, opened when a test needs them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace

import pytest

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import MMFlowError
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.looking import Looking
from mmflow_bench.mechanisms.measuring import Planned, PlannedMeasurements
from mmflow_bench.plugin.processes import choose_accelerator
from mmflow_bench.plugin.run import Run
from mmflow_bench.reports.progress import MeasuringBar


class OtherMeasurements(Mapping[str, GuardedMeasurements]):
    """The other checkpoints of the run by the paper's names for them, opened when asked for.

    Where several have one name, the first of them: what is compared must not depend on the rest.
    """

    def __init__(self, run: Run, own: PlannedMeasurements, look: int | None = None) -> None:
        self._run = run
        self._look = look
        self._slugs: dict[str, str] = {}
        for slug, spec in run.specs.items():
            if spec.paper_model is not None and run.opened.get(slug) is not own:
                self._slugs.setdefault(spec.paper_model, slug)

    def __getitem__(self, paper_model: str) -> GuardedMeasurements:
        slug = self._slugs[paper_model]
        if self._look is None:
            return GuardedMeasurements(opened(self._run, slug))
        other = looking_at(self._run, slug)
        return GuardedMeasurements(other.at(min(self._look, len(other.looks) - 1)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._slugs)

    def __len__(self) -> int:
        return len(self._slugs)


def opened(run: Run, slug: str) -> PlannedMeasurements:
    """The measurements of a checkpoint, opened once; the test fails in one line if they cannot."""
    if slug in run.opened:
        return run.opened[slug]
    if slug in run.broken:
        pytest.fail(run.broken[slug], pytrace=False)
    choose_accelerator(run.worker, run.settings.checkpoint.device)
    try:
        plan = run.plan.get(slug, {})
        found = run.opened[slug] = opened_planned(run, run.specs[slug], plan)
        return found
    except MMFlowError as error:
        run.broken[slug] = f"{slug}: {error}"
    if run.worker is None and len(run.specs) == 1:
        # Every test would end the same way: say it once.
        pytest.exit(run.broken[slug], returncode=pytest.ExitCode.USAGE_ERROR)
    pytest.fail(run.broken[slug], pytrace=False)


def looking_at(run: Run, slug: str) -> Looking:
    """The looks at a checkpoint, for --stat=anytime."""
    if slug not in run.looking:
        whole = opened(run, slug)
        if not isinstance(whole.opened.samples, SampleSet):
            pytest.fail(
                "measurements whose `samples` are a SampleSet, which has a random order "
                f"(--stat=anytime), got {type(whole.opened.samples).__name__} from a plugin that "
                "opens measurements by itself; leave --stat at bootstrap",
                pytrace=False,
            )
        bar = progress_bar(run)
        run.looking[slug] = Looking(
            whole,
            run.questions.get(slug, []),
            alpha=run.settings.alpha,
            others=lambda look: OtherMeasurements(run, whole, look),
            tell=lambda line: bar.say(f"{slug}: {line}"),
        )
    return run.looking[slug]


def refresh_stores(run: Run) -> None:
    """Empty the store of every checkpoint, once for all workers."""
    for spec in run.specs.values():
        # Opening with --refresh empties; nothing is loaded.
        Measurements.open(spec, run.settings.measurement)


def opened_planned(
    run: Run, spec: CheckpointSpec, plan: Mapping[str, Planned]
) -> PlannedMeasurements:
    """The measurements of a checkpoint on the samples of this run, by a plugin or our own.

    Raises:
        MMFlowError: Checkpoint, questions or store cannot be opened.
    """
    settings, bar, is_alone = run.settings.measurement, progress_bar(run), run.worker is None
    found: Measurements | None = run.config.hook.pytest_mmflow_open_measurements(
        spec=spec, settings=run.settings
    )
    if found is None:
        # The controller has emptied the store already; a worker would empty it under the others.
        own = replace(settings, refresh=settings.refresh and is_alone)
        found = Measurements.open(spec, own, progress=bar)
    return PlannedMeasurements(found, plan=plan, window=settings.window, bar=bar, is_alone=is_alone)


def progress_bar(run: Run) -> MeasuringBar:
    """A bar on the terminal of this run; lines there where workers share it."""
    capture = run.config.pluginmanager.get_plugin("capturemanager")
    # While a test runs, pytest's own writer is captured like everything else.
    visibly = capture.global_and_fixture_disabled if capture is not None else nullcontext
    if run.worker is not None:
        # What xdist leaves to a worker: its standard output is the way to the controller.
        return MeasuringBar(sys.__stderr__, visibly=visibly, process=run.worker)
    reporter = run.config.pluginmanager.get_plugin("terminalreporter")
    return MeasuringBar(reporter._tw._file if reporter is not None else None, visibly=visibly)

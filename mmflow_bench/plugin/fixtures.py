"""The fixtures: `flow` for tests of mechanisms, and what it stands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mmflow_bench.errors import MMFlowError
from mmflow_bench.plugin.against import measure_baseline
from mmflow_bench.plugin.measuring import (
    MINIMUM_ACCURACY,
    GuardedMeasurements,
    PlannedMeasurements,
)
from mmflow_bench.plugin.outcomes import RECORDER
from mmflow_bench.plugin.run import Run, choose_accelerator, run_of
from mmflow_bench.reports.progress import MeasuringBar

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.mechanisms.flow import Flow


@pytest.fixture(scope="session")
def mmflow_measurements(request: pytest.FixtureRequest) -> Iterator[PlannedMeasurements]:
    """What the checkpoint of this test does on its samples; one per checkpoint and process."""
    run = run_of(request.config)
    slug = request.param
    planned = _opened(run, slug)
    yield planned
    run.keep(slug, planned)
    # The next checkpoint may need the memory of this one.
    run.opened.pop(slug, None)
    if callable(close := getattr(planned, "close", None)):
        close()
    measure_baseline(run, slug, planned)


@pytest.fixture
def flow(
    request: pytest.FixtureRequest, mmflow_measurements: PlannedMeasurements
) -> Iterator[Flow]:
    """The information flow of the checkpoint: `flow("question -> last", "ChooseAttr")`.

    Comparing what it returns is a three-way question: an assertion on it passes, fails, or ends as
    `inconclusive` when the interval straddles the threshold.
    """
    from mmflow_bench.mechanisms.flow import Flow
    from mmflow_bench.mechanisms.recording import Recorder, current_recorder

    run = run_of(request.config)
    marker = request.node.get_closest_marker("mechanism")
    asked = marker.kwargs if marker else {}
    minimum = asked.get("minimum_accuracy", MINIMUM_ACCURACY)
    guarded = GuardedMeasurements(mmflow_measurements, minimum)
    recorder = Recorder()
    request.node.stash[RECORDER] = recorder
    token = current_recorder.set(recorder)
    others = OtherMeasurements(run, mmflow_measurements)
    yield Flow(guarded, alpha=run.settings.alpha, others=others)
    current_recorder.reset(token)
    # Tests live as long as the run, and every estimate keeps thousands of replicates.
    del request.node.stash[RECORDER]


@pytest.fixture
def flow_snapshot(request: pytest.FixtureRequest) -> SnapshotAssertion:
    """Compares a value with the baseline of the checkpoint: `assert flow_snapshot == value`.

    Floats are compared with the tolerance that is stored beside them.
    """
    from mmflow_bench.plugin.comparing import snapshot_for

    return snapshot_for(request.node)


class OtherMeasurements(Mapping[str, GuardedMeasurements]):
    """The other checkpoints of the run by the paper's names for them, opened when asked for."""

    def __init__(self, run: Run, own: PlannedMeasurements) -> None:
        """Leave out the checkpoint that the test is about."""
        self._run = run
        self._slugs = {
            spec.paper_model: slug
            for slug, spec in run.specs.items()
            if spec.paper_model is not None and run.opened.get(slug) is not own
        }

    def __getitem__(self, paper_model: str) -> GuardedMeasurements:
        """The measurements of one of them."""
        return GuardedMeasurements(_opened(self._run, self._slugs[paper_model]))

    def __iter__(self) -> Iterator[str]:
        """The paper's names."""
        return iter(self._slugs)

    def __len__(self) -> int:
        """How many others there are."""
        return len(self._slugs)


def _opened(run: Run, slug: str) -> PlannedMeasurements:
    """The measurements of a checkpoint, opened once; the test fails in one line if they cannot."""
    if slug in run.opened:
        return run.opened[slug]
    if slug in run.broken:
        pytest.fail(run.broken[slug], pytrace=False)
    choose_accelerator(run)
    bar = progress_bar(run)
    try:
        measurements = open_measurements(run, run.specs[slug], bar)
    except MMFlowError as error:
        run.broken[slug] = f"{slug}: {error}"
    else:
        run.opened[slug] = PlannedMeasurements(
            measurements,
            model=slug,
            plan=run.plan,
            window=run.settings.measurement.window,
            bar=bar,
            is_alone=run.worker is None,
        )
        return run.opened[slug]
    if run.worker is None and len(run.specs) == 1:
        # Every test would end the same way: say it once.
        pytest.exit(run.broken[slug], returncode=pytest.ExitCode.USAGE_ERROR)
    pytest.fail(run.broken[slug], pytrace=False)


def refresh_stores(run: Run) -> None:
    """Empty the store of every checkpoint, once for all workers."""
    from mmflow_bench.measurements.session import Measurements

    for spec in run.specs.values():
        Measurements.open(spec, run.settings.measurement)


def open_measurements(run: Run, spec: CheckpointSpec, bar: MeasuringBar) -> Any:
    """The measurements of a checkpoint on the samples of this run.

    Raises:
        MMFlowError: Checkpoint, questions or store cannot be opened.
    """
    given = run.config.hook.pytest_mmflow_open_measurements(spec=spec, settings=run.settings)
    if given is not None:
        return given
    from mmflow_bench.measurements.session import Measurements

    settings = run.settings.measurement
    # The controller has emptied the store already; a worker would empty it under the others.
    settings = replace(settings, refresh=settings.refresh and run.worker is None)
    return Measurements.open(spec, settings, progress=bar)


def progress_bar(run: Run) -> MeasuringBar:
    """A bar on the terminal of this run; on a worker it draws nothing."""
    reporter = run.config.pluginmanager.get_plugin("terminalreporter")
    if run.worker is not None or reporter is None:
        return MeasuringBar(None)
    capture = run.config.pluginmanager.get_plugin("capturemanager")
    # While a test runs, pytest's own writer is captured like everything else.
    visibly = capture.global_and_fixture_disabled if capture is not None else nullcontext
    return MeasuringBar(reporter._tw._file, visibly=visibly)

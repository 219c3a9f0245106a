"""Who measures the rounds of `mmflow measure`: this process, or a fleet of workers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.engines.dealing import Dealer
from mmflow_bench.engines.fleet import Dealing
from mmflow_bench.engines.stopping import Stop
from mmflow_bench.engines.worker import Recipe
from mmflow_bench.errors import StoreError
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.session import Measurements, Progress
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.wants import ANSWER_SCOPE, UNSCORED
from mmflow_bench.mechanisms.numbers import several
from mmflow_bench.mechanisms.rounds import Round

logger = logging.getLogger(__name__)

WORKER_DIED = "worker-died"
"""Why a sample is unscored that has taken one worker after the other with it."""
_ATTEMPTS = 3


class Engine(Protocol):
    """What measures rounds."""

    def load(self) -> None:
        """See to it that the facts of the checkpoint are in the store."""

    def measure(self, one: Round) -> None:
        """Measure what a round lacks."""


class Local:
    """This process."""

    def load(self) -> None:
        """Nothing: who asks for a fact loads the checkpoint."""

    def measure(self, one: Round) -> None:
        one.measure()


class Spread:
    """Workers of a fleet, which is started when there is something to do."""

    def __init__(
        self, dealing: Callable[[], Dealing[Job]], stop: Stop, *, progress: Progress
    ) -> None:
        self._start = dealing
        self._started: Dealing[Job] | None = None
        self._stop = stop
        self._progress = progress

    @property
    def _dealing(self) -> Dealing[Job]:
        if self._started is None:
            self._started = self._start()
        return self._started

    def load(self) -> None:
        """Wait for the first worker, which has kept the facts when it is ready."""
        self._dealing.wait_for_one(lambda: bool(self._stop))
        self._refuse_stopped()

    def measure(self, one: Round) -> None:
        """Measure what a round lacks, and merge what was found.

        Raises:
            Stopped: Somebody has asked for an end; what is measured is kept.
            MMFlowError: Workers cannot start, or the store loses what it is given.
        """
        measurements = one.measurements
        with ExitStack() as locks:
            # As a process that measures alone does, which waits for this one and finds all there.
            for task in sorted(one.wants):
                locks.enter_context(measurements.alone(task))
            for _ in range(_ATTEMPTS):
                jobs = self._missing(one)
                if not jobs:
                    return
                given_up = self._deal(one, jobs)
                _count_unscored(measurements, self._missing(one), given_up)
                for task in measurements.tasks:
                    measurements.settle(task, jobs)
                self._refuse_stopped()
        raise StoreError(
            f"a store that keeps what it is given, got one that lacked measurements {_ATTEMPTS} "
            f"times after workers had made them ({measurements.store.folder}); point "
            "--mmflow-cache at a disk that all nodes share"
        )

    def _missing(self, one: Round) -> list[Job]:
        tasks = one.measurements.tasks
        return [job for task in tasks for job in one.measurements.missing(task, one.wants[task])]

    def _deal(self, one: Round, jobs: Sequence[Job]) -> frozenset[str]:
        """Have jobs measured; the keys of samples that no worker has survived."""
        dealer = Dealer(clusters_of(jobs))

        def tell() -> None:
            self._progress(one.label, dealer.done, dealer.total, self._cost())

        tell()
        self._dealing.run(dealer, is_stopped=lambda: bool(self._stop), tell=tell)
        return frozenset(job.key for job in dealer.given_up)

    def _cost(self) -> str:
        workers, hours = self._dealing.workers, self._dealing.hours
        return f"{several(workers, 'worker')}, {hours:.2f} worker-hours"

    def _refuse_stopped(self) -> None:
        if self._stop:
            raise Stopped(self._stop.exit_code)


class Stopped(Exception):
    """Somebody has asked for an end, and what was being measured is stored."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def clusters_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs about one image together, whatever their task; those with most to measure first."""
    clusters: dict[str, list[Job]] = {}
    for job in jobs:
        clusters.setdefault(job.sample.image_id, []).append(job)
    # Whose answer is not known has a pass more.
    return sorted(
        clusters.values(),
        key=lambda members: -sum(len(job.wants) + (job.answer is None) for job in members),
    )


def _count_unscored(
    measurements: Measurements, missing: Sequence[Job], given_up: frozenset[str]
) -> None:
    """Give samples that no worker survives a row that says so, for what is missing of them."""
    for job in missing:
        if job.key not in given_up:
            continue
        message = (
            "a sample that a worker survives, got one that several died over (sample "
            f"{job.sample.question_id}); look at the memory of the nodes, then measure it again "
            "with --refresh"
        )
        logger.warning(message)
        scopes = [(job.key, ANSWER_SCOPE)]
        if job.answer is not None:
            scopes = [(job.key_of(want), want.shard.name) for want in job.wants]
        rows: list[dict[str, object]] = [
            {"sample": key, "scope": scope, "reason": WORKER_DIED, "message": message}
            for key, scope in scopes
        ]
        measurements.store.append({UNSCORED: rows}, sample=job.key)


@contextmanager
def engine_of(
    checkpoint: CheckpointSettings,
    settings: MeasurementSettings,
    measurements: Measurements,
    *,
    progress: Progress,
) -> Iterator[Engine]:
    """What the settings want to measure with; a fleet ends with the block.

    Raises:
        EngineError: The engine is not installed, or its cluster not there.
    """
    if settings.engine == "local":
        yield Local()
        return
    measurements.store.require_writable()
    with ExitStack() as stack:
        sign = stack.enter_context(_signed(measurements.store.folder))
        recipe = Recipe(
            checkpoint=checkpoint,
            # Workers write to the folder; what a store at a URL is told comes from this process.
            measurement=replace(settings, cache=settings.folder and settings.folder.absolute()),
            folder=Path.cwd(),
            store=measurements.store.folder.absolute(),
            sign=sign.absolute(),
        )
        stop = stack.enter_context(Stop())

        def dealing() -> Dealing[Job]:
            from mmflow_bench.engines.ray_session import connected

            cpus = (settings.workers or 1) * settings.worker_cores
            stack.enter_context(connected(settings.address, cpus=cpus))
            # Ray has taken SIGTERM for itself.
            stop.listen()
            from mmflow_bench.engines.ray_fleet import RayFleet

            fleet = RayFleet(recipe, workers=settings.workers, cores=settings.worker_cores)
            stack.callback(fleet.close)
            return Dealing(fleet)

        yield Spread(dealing, stop, progress=progress)


@contextmanager
def _signed(folder: Path) -> Iterator[Path]:
    """A file in the store, by which workers see that it is the same disk."""
    sign = folder / f"{uuid.uuid4().hex}.fleet"
    sign.touch()
    try:
        yield sign
    finally:
        sign.unlink(missing_ok=True)

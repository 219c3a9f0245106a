"""What a fleet gains and costs here, and what a simulation with these times says of larger ones.

    python benchmarks/scale.py real [--model planted/base] [--limit 8] [--output FILE.json]
    python benchmarks/scale.py simulated --times FILE.json [--output FILE.json]

`real` measures the same samples with one worker and with two of `--engine=ray`, and sends as many
jobs through a fleet whose workers do nothing. `simulated` deals by the same code to workers that
only count seconds, with the times that `real` has found: for one and two workers, which is
compared, then for up to 1,024 accelerators and 10,000 checkpoints.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from machine import machine

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.engines.dealing import Dealer, Piece
from mmflow_bench.engines.fleet import Dealing, Finished, Lost, Ready
from mmflow_bench.engines.measuring import clusters_of, engine_of
from mmflow_bench.engines.worker import Recipe, Refusal, Worker
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.mechanisms.rounds import planned_by, rounds_of

ACCELERATORS = (1, 2, 8, 64, 256, 1024)
CHECKPOINTS = (1, 10, 100, 1_000, 10_000)
LOSSES_PER_HOUR = 0.05
"""Of one accelerator: a spot machine that is taken away every twenty hours."""


class Idle(Worker):
    """Takes jobs and measures nothing."""

    def load(self) -> Refusal | None:
        return None

    def measure(self, *jobs: Job) -> Refusal | None:  # noqa: ARG002
        return None

    def nothing(self) -> None:
        """An empty task."""


def asked(model: str, limit: str, cache: Path, workers: int) -> Measurements:
    settings = MeasurementSettings(
        limit=limit, cache=cache, engine="ray" if workers else "local", workers=workers or None
    )
    spec = resolve_spec(model, CheckpointSettings(models=(model,)))
    return Measurements.open(spec, settings)


def measured(model: str, limit: str, workers: int) -> dict[str, float]:
    """Seconds until a worker is there, then of both rounds, and the processor time of this one.

    No workers stand for this process alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        opened = asked(model, limit, Path(folder), workers)
        checkpoint = CheckpointSettings(models=(model,))
        began = time.perf_counter()
        tell = lambda *_: None  # noqa: E731
        with engine_of(checkpoint, opened.settings, opened, progress=tell) as engine:
            engine.load() if workers else opened.checkpoint
            loaded, own = time.perf_counter(), time.process_time()
            planned = planned_by(chosen_tests((), patterns=(), suite="core"), opened)
            for one in rounds_of(opened, planned, twins=True):
                engine.measure(one)
            ended = time.perf_counter()
        samples = sum(len(opened.samples.of(task)) for task in opened.tasks)
        return {
            "workers": workers,
            "samples": samples,
            "load": loaded - began,
            "seconds": ended - loaded,
            "processor_here": time.process_time() - own,
        }


def overhead(model: str, limit: str, workers: int) -> dict[str, float]:
    """Milliseconds for each sample of dealing to workers that do nothing, and of an empty task."""
    import ray

    from mmflow_bench.engines.ray_fleet import RayFleet
    from mmflow_bench.engines.ray_session import connected

    class IdleFleet(RayFleet):
        kind = Idle

        def nothing(self) -> None:
            ray.get(next(iter(self._actors.values())).nothing.remote())

    with tempfile.TemporaryDirectory() as folder, connected(None, cpus=workers):
        opened = asked(model, limit, Path(folder), 0)
        _ = opened.checkpoint
        planned = planned_by(chosen_tests((), patterns=(), suite="core"), opened)
        whole, _ = rounds_of(opened, planned, twins=True)
        jobs = [job for task in opened.tasks for job in opened.missing(task, whole.wants[task])]
        opened.close()
        here = Path(folder)
        recipe = Recipe(
            checkpoint=CheckpointSettings(models=(model,)),
            measurement=opened.settings,
            folder=here,
            store=here,
            sign=here,
        )
        fleet = IdleFleet(recipe, workers=workers, cores=1)
        dealing = Dealing(fleet)
        while dealing.workers < workers:
            dealing._hear(Dealer([]))
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            dealing.run(Dealer(clusters_of(jobs)), is_stopped=bool)
            spent.append((time.perf_counter() - began) / len(jobs))
        began = time.perf_counter()
        for _ in range(200):
            fleet.nothing()
        empty = (time.perf_counter() - began) / 200
        fleet.close()
    return {"sample_ms": 1e3 * statistics.median(spent), "empty_task_ms": 1e3 * empty}


class Simulated:
    """Workers that count seconds; whoever deals is busy for a while with each thing it hears."""

    def __init__(self, workers: int, *, load: float, dealing: float, losses: float) -> None:
        self.now = 0.0
        self._load, self._dealing, self._losses = load, dealing, losses
        self._draw = random.Random(0)
        self._events: list[tuple[float, int, Ready | Finished[float] | Lost]] = []
        self._queues: dict[str, deque[Piece[float]]] = {}
        self._dies: dict[str, float] = {}
        self._count = 0
        self.lost = 0
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        self._count += 1
        worker = str(self._count)
        begins = self.now + self._load
        self._queues[worker] = deque()
        life = self._draw.expovariate(self._losses) if self._losses else float("inf")
        self._dies[worker] = begins + life
        self._push(begins, Ready(worker))
        self._push(begins + life, Lost(worker, "taken away", is_own_death=False))

    def _push(self, at: float, event: Ready | Finished[float] | Lost) -> None:
        if at < float("inf"):
            heapq.heappush(self._events, (at, self._count, event))
            self._count += 1

    def give(self, worker: str, piece: Piece[float]) -> None:
        queue = self._queues[worker]
        queue.append(piece)
        if len(queue) == 1:
            self._begin(worker)

    def _begin(self, worker: str) -> None:
        piece = self._queues[worker][0]
        self._push(self.now + sum(piece.items), Finished(worker, piece))

    def events(self, patience: float) -> Iterator[Ready | Finished[float] | Lost]:  # noqa: ARG002
        at, _, event = heapq.heappop(self._events)
        self.now = max(self.now, at)
        if event.worker not in self._queues:
            return
        self.now += self._dealing
        if isinstance(event, Finished):
            queue = self._queues[event.worker]
            queue.popleft()
            if queue:
                self._begin(event.worker)
        elif isinstance(event, Lost):
            del self._queues[event.worker]
            self.lost += 1
            self._start()
        yield event


def simulated(times: Sequence[float], workers: int, known: dict[str, float]) -> dict[str, float]:
    """Seconds of one checkpoint on so many workers, and how much of theirs is measuring."""
    fleet = Simulated(
        workers,
        load=known["load"],
        dealing=known["dealing"],
        losses=known.get("losses_per_second", 0.0),
    )
    order = sorted(times, reverse=True)
    Dealing(fleet).run(Dealer([one] for one in order), is_stopped=bool)
    seconds = known["fixed"] + fleet.now + known["merge"] * len(times)
    return {
        "seconds": seconds,
        "busy": sum(times) / (seconds * workers),
        "lost": fleet.lost,
    }


def campaign(alone: dict[int, float], checkpoints: int, accelerators: int) -> tuple[float, int]:
    """Hours for so many checkpoints, each on the group of workers that is best, and its size."""
    sizes = [size for size in alone if size <= accelerators]
    groups = {size: min(checkpoints, accelerators // size) for size in sizes}
    hours = {size: -(-checkpoints // groups[size]) * alone[size] / 3600 for size in sizes}
    best = min(sizes, key=lambda size: (hours[size], size))
    return hours[best], best


def run_real(options: argparse.Namespace) -> dict[str, object]:
    # Of half as many too: what whoever deals does takes a while whatever there is.
    half = measured(options.model, str(max(1, int(options.limit) // 2)), 1)
    runs = [measured(options.model, options.limit, workers) for workers in (0, 1, 2)]
    plain, one, two = (run["seconds"] for run in runs)
    found = overhead(options.model, options.limit, 2)
    return {
        "half": half,
        "runs": runs,
        "gain": one / two,
        "against_plain": (one - plain) / runs[0]["samples"] * 1e3,
        **found,
        "overhead_ms": found["sample_ms"] - found["empty_task_ms"],
        "load_average": os.getloadavg()[0],
    }


def run_simulated(options: argparse.Namespace) -> dict[str, object]:
    real = json.loads(options.times.read_text())
    _, one, two = real["runs"]
    samples = int(one["samples"])
    half = real["half"]
    merge = (one["processor_here"] - half["processor_here"]) / (samples - int(half["samples"]))
    fixed = one["processor_here"] - merge * samples
    each = (one["seconds"] - fixed) / samples - merge
    draw = random.Random(1)
    # Lognormal with the spread of tiles and lengths; the mean is what was measured.
    spread = [draw.lognormvariate(-0.02, 0.2) * each for _ in range(samples)]
    known = {"load": 0.0, "fixed": fixed, "dealing": real["sample_ms"] / 1e3, "merge": merge}
    checked = {
        run["workers"]: [run["seconds"], simulated(spread, int(run["workers"]), known)["seconds"]]
        for run in (one, two)
    }
    whole = [draw.lognormvariate(-0.02, 0.2) * options.seconds for _ in range(options.samples)]
    large = known | {"load": options.load, "losses_per_second": LOSSES_PER_HOUR / 3600}
    alone = {count: simulated(whole, count, large) for count in ACCELERATORS}
    seconds = {count: run["seconds"] for count, run in alone.items()}
    return {
        "of_a_sample": {"measuring": each, "merging": merge, "dealing": known["dealing"]},
        "fixed": fixed,
        "checked": checked,
        "alone": alone,
        "campaigns": {
            f"{checkpoints} on {accelerators}": campaign(seconds, checkpoints, accelerators)
            for checkpoints in CHECKPOINTS
            for accelerators in ACCELERATORS
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["real", "simulated"])
    parser.add_argument("--model", default="planted/base")
    parser.add_argument("--limit", default="8")
    parser.add_argument("--times", type=Path)
    parser.add_argument("--samples", type=int, default=5_525)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one sample, mean")
    parser.add_argument("--load", type=float, default=90.0, help="seconds of a checkpoint")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found = (run_real if options.what == "real" else run_simulated)(options)
    text = json.dumps({**found, **machine()}, indent=1)
    if options.output:
        options.output.write_text(text)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()

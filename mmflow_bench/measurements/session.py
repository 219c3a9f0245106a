"""Measurements: everything known of one checkpoint on one question file, measured when asked for.

The plugin and the command line hold one object per checkpoint. It reads the store first and loads
the checkpoint only when something is missing, so a second run, another worker or the job that only
asserts never touches the weights.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Collection, Sequence
from copy import copy
from itertools import product
from pathlib import Path
from typing import Any

from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import StoreError
from mmflow_bench.interventions.edges import Edge
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.windows import window_width
from mmflow_bench.measurements.answered import answered
from mmflow_bench.measurements.asking import asked_questions
from mmflow_bench.measurements.described import described
from mmflow_bench.measurements.following import Followed
from mmflow_bench.measurements.mastery import Mastery
from mmflow_bench.measurements.opening import Progress, load_proved, store_identity
from mmflow_bench.measurements.plan import Job, Sweep
from mmflow_bench.measurements.records import AnswerCount, LensTable, SweepTable
from mmflow_bench.measurements.selection import Limit, SampleSet
from mmflow_bench.measurements.settings import MeasurementSettings, exact_tasks
from mmflow_bench.measurements.stored import StoredResults
from mmflow_bench.store.shards import Store


class Measurements:
    """What one checkpoint does on one set of samples; measures on demand, remembers everything."""

    def __init__(
        self,
        spec: CheckpointSpec,
        samples: SampleSet,
        settings: MeasurementSettings | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Open the store of this checkpoint.

        Raises:
            StoreError: The store cannot be written.
        """
        self.spec = spec
        self.samples = samples
        self.settings = settings = settings or MeasurementSettings()
        self._progress = progress
        self.fingerprint = fingerprint(spec)
        # The folder lives as long as this object: `--mmflow-cache=off` keeps nothing behind.
        self._temporary = None if settings.cache else tempfile.TemporaryDirectory()
        root = settings.cache or Path(self._temporary.name if self._temporary else "")
        self.store = Store(root, store_identity(spec, self.fingerprint))
        if settings.refresh:
            self.store.clear()
        self.stored = self._stored(samples)
        self._checkpoint: Any = None
        self._whole: Measurements | None = None

    @classmethod
    def open(
        cls,
        spec: CheckpointSpec,
        settings: MeasurementSettings | None = None,
        *,
        progress: Progress | None = None,
    ) -> Measurements:
        """Measurements of a checkpoint on the samples that it is asked (`asked_questions`).

        Args:
            spec: Which checkpoint.
            settings: Which samples, and how they are measured and kept.
            progress: Told after every sample.

        Raises:
            QuestionError: The question file or the images cannot be read at all.
            StoreError: The store cannot be written.
            ValueError: The limit is malformed.
        """
        settings = settings or MeasurementSettings()
        file = asked_questions(
            spec, questions=settings.questions, images=settings.images, cache=settings.cache
        )
        samples = SampleSet(
            file,
            tasks=exact_tasks(settings.tasks),
            limit=Limit.parse(settings.limit) if settings.limit else None,
            seed=settings.seed,
        )
        return cls(spec, samples, settings, progress=progress)

    def part(self) -> Measurements:
        """The same on about a third of the samples: what is costly and need only agree."""
        return self.on(self.samples.part())

    def on(self, samples: SampleSet) -> Measurements:
        """The same checkpoint and store on other samples."""
        other = copy(self)
        other._whole = self
        other.samples = samples
        other.stored = self._stored(samples)
        return other

    def _stored(self, samples: SampleSet) -> StoredResults:
        settings = self.settings
        return StoredResults(
            self.store, samples, keep_incorrect=settings.keep_incorrect, follow=settings.follow
        )

    @property
    def follow(self) -> Followed:
        """Whose answer's probability is followed."""
        return self.settings.follow

    @property
    def name(self) -> str:
        """The checkpoint's name, as the user gave it."""
        return self.spec.name

    @property
    def checkpoint(self) -> Any:
        """The loaded checkpoint; loads it, proves the fast path and remembers its facts.

        Raises:
            StoreError: Only the store may be read (`--from-cache`).
            CheckpointError: It cannot be loaded or instrumented.
        """
        if self._whole is not None:
            return self._whole.checkpoint
        if self._checkpoint is None:
            if self.settings.from_cache:
                raise StoreError(
                    "a store that holds everything asked for, got measurements that are missing "
                    f"(checkpoint {self.name}, --from-cache); run the same command without "
                    "--from-cache where the checkpoint can be loaded, or `mmflow measure`"
                )
            self._checkpoint, facts = load_proved(
                self.spec, self.samples, self_test=self.settings.self_test
            )
            self.store.remember(facts)
        return self._checkpoint

    def _fact(self, name: str) -> Any:
        if name not in self.store.facts():
            _ = self.checkpoint
        return self.store.facts()[name]

    @property
    def decoder_layers(self) -> int:
        """Depth of the decoder."""
        return int(self._fact("decoder_layers"))

    @property
    def width(self) -> int:
        """The window width of this depth (docs/decisions/001)."""
        return window_width(self.decoder_layers)

    @property
    def provenance(self) -> dict[str, object]:
        """Facts of the checkpoint for reports; empty before anything was measured."""
        return self.store.facts()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that have samples."""
        return self.samples.tasks

    @property
    def self_test(self) -> tuple[dict[str, Any], ...]:
        """Outcome of the checks on this checkpoint: `name`, `passed`, `detail`; empty if none."""
        checks: Any = self.store.facts().get("self_test", ())
        return tuple(checks)

    @property
    def noise_floor(self) -> float:
        """Largest relative change that a knockout of no edge made; a fraction, 0 if unmeasured."""
        return self.stored.noise_floor()

    def ensure(
        self,
        task: str,
        *,
        edges: Collection[str] = (),
        widths: Collection[int] = (),
        methods: Collection[str] = (Method.MASKED,),
        pairs: Collection[tuple[str, int]] = (),
        lens: bool = False,
        minimum_accuracy: float = 0.0,
    ) -> None:
        """Measure what the store lacks of one task; returns at once when it lacks nothing.

        Args:
            task: A task of `tasks`.
            edges: Written `source->target`.
            widths: Window widths, odd; every edge is measured at each.
            methods: Values of `Method`.
            pairs: Further (edge, width) pairs.
            lens: The logit lens too.
            minimum_accuracy: Share of the samples that must be answered correctly; once it cannot
                be reached any more, only answers are measured.

        Raises:
            MechanismError: The question file has no samples of the task.
        """
        wanted = dict.fromkeys([*product(edges, widths), *pairs])
        sweeps = tuple(
            Sweep(edge=Edge.parse(edge), method=Method(method), width=width)
            for edge, width in wanted
            for method in methods
        )
        if not self.stored.jobs(task, sweeps, lens=lens):
            return
        # Another worker may be measuring the same: wait, then look again.
        with self.store.lock(f"measure-{task}"):
            jobs = self.stored.jobs(task, sweeps, lens=lens)
            if jobs:
                self._measure(task, jobs, self.stored.mastery(task, minimum_accuracy))

    def ensure_mastered(self, task: str, *, minimum: float, **wanted: Any) -> None:
        """`ensure`, as long as so many samples may be answered correctly; then answers alone.

        Args:
            task: A task of `tasks`.
            minimum: Share of the scored samples; of no account where the reference is followed.
            **wanted: As for `ensure`.
        """
        is_asked = self.follow is Followed.ANSWER
        self.ensure(task, minimum_accuracy=minimum if is_asked else 0.0, **wanted)

    def _measure(self, task: str, jobs: Sequence[Job], mastery: Mastery) -> None:
        checkpoint = self.checkpoint
        sweep = importlib.import_module("mmflow_bench.measurements.sweep")
        self._tell(task, 0, len(jobs))
        finished = sweep.measure(
            checkpoint, jobs, batch_size=self.settings.batch_size, goes_on=mastery.is_possible
        )
        for done, measured in enumerate(finished, start=1):
            self.store.append(measured.rows, sample=measured.key)
            mastery.see(measured.rows)
            self._tell(task, done, len(jobs))
        self.store.compact()

    def _tell(self, task: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(task, done, total)

    def accuracy(self, task: str) -> AnswerCount:
        """How many samples of a task were answered correctly."""
        self.ensure(task)
        return self.stored.accuracy(task)

    def refusals(self, task: str) -> dict[str, dict[str, int]]:
        """Edge or `lens` -> reason -> answered samples that it could not be measured on."""
        return self.stored.refusals(task)

    def answered(self) -> list[dict[str, object]]:
        """What each sample was answered with, for pairing with another checkpoint (`answered`)."""
        return list(answered(self.stored))

    def described(self) -> list[dict[str, object]]:
        """What was asked and answered, a row per answered sample (`described`)."""
        return list(described(self.stored))

    def messages(self, *, limit: int) -> list[str]:
        """A few full explanations of samples that could not be measured, one for each reason."""
        unreadable = {bad.reason: bad.message for bad in reversed(self.samples.unreadable)}
        return [*unreadable.values(), *self.stored.messages(limit=limit)][:limit]

    def sweep(
        self, task: str, edge: str, *, width: int | None = None, method: str = Method.MASKED
    ) -> SweepTable:
        """One edge knocked out around every layer, over the kept samples of a task."""
        width = width or self.width
        self.ensure(task, edges=[edge], widths=[width], methods=[method])
        sweep = Sweep(edge=Edge.parse(edge), method=Method(method), width=width)
        return self.stored.sweep(task, sweep, layers=self.decoder_layers)

    def lens(self, task: str, *, probe: str, variant: str) -> LensTable:
        """Logit-lens probabilities of one probe over the kept samples of a task."""
        self.ensure(task, lens=True)
        return self.stored.lens(task, probe=probe, variant=variant, layers=self.decoder_layers)

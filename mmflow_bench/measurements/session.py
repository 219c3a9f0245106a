"""Measurements: everything known of one checkpoint on one question file, measured when asked for.

The plugin and the command line hold one object per checkpoint. It reads the store first and loads
the checkpoint only when something is missing, so a second run, another worker or the job that only
asserts never touches the weights.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from mmflow_bench.checkpoints.fingerprint import fingerprint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError, NotStoredError, SelectionError, StoreError
from mmflow_bench.inputs.samples import Sample, Unscored
from mmflow_bench.interventions.knockout import window_width
from mmflow_bench.measurements.asking import asked_questions
from mmflow_bench.measurements.described import answered, described
from mmflow_bench.measurements.identity import are_facts, store_identity
from mmflow_bench.measurements.jobs import Job, Mastery
from mmflow_bench.measurements.lens import LENSES, PUBLISHED_LENSES
from mmflow_bench.measurements.limits import Limit
from mmflow_bench.measurements.order import Order
from mmflow_bench.measurements.records import AnswerCount, Followed
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.stored import Refusals, StoredResults
from mmflow_bench.measurements.wants import ANSWERS, PATCHES, UNSCORED, Want, resolved
from mmflow_bench.store.shards import Shard
from mmflow_bench.store.shared import store_at

Table = TypeVar("Table")
Value = TypeVar("Value")
_ATTEMPTS = 3
"""Times that the same is measured before a store counts as one that loses what it is given."""


@runtime_checkable
class Progress(Protocol):
    """Told what is measured, how many samples are done, of how many, and what else there is."""

    def __call__(self, label: str, done: int, total: int, note: str = "", /) -> None: ...


def asked_samples(spec: CheckpointSpec, settings: MeasurementSettings) -> SampleSet:
    """The samples that a checkpoint is asked under some settings; raises as `Measurements.open`."""
    file = asked_questions(
        spec, questions=settings.questions, images=settings.images, cache=settings.folder
    )
    return SampleSet(
        file,
        tasks=settings.tasks,
        limit=Limit.parse(settings.limit) if settings.limit else None,
        seed=settings.seed,
    )


class Measurements:
    """What one checkpoint does on one set of samples; measures on demand, remembers everything."""

    def __init__(
        self,
        spec: CheckpointSpec,
        samples: SampleSet,
        settings: MeasurementSettings | None = None,
        *,
        progress: Progress | None = None,
        identity: str | None = None,
    ) -> None:
        """Open the store of a checkpoint; nothing of the checkpoint is loaded.

        Args:
            spec: The checkpoint.
            samples: What it is asked.
            settings: How, and where the results are kept.
            progress: Told how far it is.
            identity: The content hash of the checkpoint, if it is known.
        """
        self.spec = spec
        self.name, self.paper_model = spec.name, spec.paper_model
        self.lenses = PUBLISHED_LENSES if spec.compat == "paper" else LENSES
        self.samples = samples
        self.settings = settings = settings or MeasurementSettings()
        self.follow = settings.follow
        self._progress = progress
        self.fingerprint = identity or fingerprint(spec)
        # The folder lives as long as this object: `--mmflow-cache=off` keeps nothing behind.
        self._temporary = None if settings.cache else tempfile.TemporaryDirectory()
        root = settings.cache or Path(self._temporary.name if self._temporary else "")
        self.store = store_at(root, store_identity(spec, self.fingerprint))
        if settings.refresh:
            self.store.clear()
        self.stored = self._stored(samples)
        # Shared with every part of the samples: what was asked of a part was asked of the task.
        self._asked: dict[str, dict[Want[object], None]] = {}
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

        Raises:
            QuestionError: The question file or the images cannot be read at all.
            SelectionError: A task that was asked for, or the limit, selects none of its samples.
            StoreError: The store cannot be written.
            ValueError: The limit is malformed.
        """
        settings = settings or MeasurementSettings()
        return cls(spec, asked_samples(spec, settings), settings, progress=progress)

    def part(self) -> Measurements:
        """The same on a third or half of the samples: what is costly and need only agree."""
        return self.on(self.samples.part())

    def on(self, samples: SampleSet) -> Measurements:
        other = copy(self)
        other._whole, other._checkpoint = self, None
        other.samples = samples
        other.stored = self._stored(samples)
        return other

    def _stored(self, samples: SampleSet) -> StoredResults:
        settings = self.settings
        return StoredResults(
            self.store, samples, keep_incorrect=settings.keep_incorrect, follow=settings.follow
        )

    @property
    def checkpoint(self) -> Any:
        """The loaded checkpoint; loads it, proves the fast path and remembers its facts.

        Raises:
            NotStoredError: Only the store may be read (`--from-cache`).
            CheckpointError: It cannot be loaded or instrumented.
        """
        if self._whole is not None:
            return self._whole.checkpoint
        if self._checkpoint is None:
            if self.settings.from_cache:
                raise NotStoredError(
                    "a store that holds everything asked for, got measurements that are missing "
                    f"(checkpoint {self.name}, --from-cache); run the same command without "
                    "--from-cache where the checkpoint can be loaded, or `mmflow measure`"
                )
            # Loading may take minutes.
            self.store.require_writable()
            checkpoint, facts = self._load()
            if checkpoint.fingerprint != self.fingerprint:
                raise CheckpointError(
                    "the files that the run began with, got others when they were loaded "
                    f"(checkpoint {self.name}); run again once they are all written"
                )
            self._checkpoint = checkpoint
            self.store.remember(facts)
        return self._checkpoint

    def _load(self) -> tuple[Any, dict[str, object]]:
        """The checkpoint, and what was learned of it on the way."""
        # torch is imported here, not above: a run from the store needs none.
        proved = importlib.import_module("mmflow_bench.measurements.proved")
        found: tuple[Any, dict[str, object]] = proved.load_proved(
            self.spec, self.samples, is_tested=self.settings.self_test
        )
        return found

    def close(self) -> None:
        """Let go of the loaded checkpoint: the next one may need its memory."""
        # Also what a run has left that was killed before it could.
        self.store.share(self._shards(*self._asked))
        self._checkpoint = None
        if self._whole is not None:
            self._whole.close()

    @property
    def decoder_layers(self) -> int:
        known = self.provenance.get("decoder_layers")
        return known if isinstance(known, int) else int(self.checkpoint.decoder_layers)

    @property
    def width(self) -> int:
        """The window width of this depth (docs/decisions/001).

        Raises:
            SelectionError: The run has chosen one that no place in the decoder could have.
        """
        chosen = self.settings.window
        if chosen is not None and chosen > self.decoder_layers:
            raise SelectionError(
                f"a window of at most {self.decoder_layers} layers, which {self.name} has, got "
                f"--window={chosen}; `auto` is {window_width(self.decoder_layers)}"
            )
        return window_width(self.decoder_layers)

    @property
    def provenance(self) -> dict[str, object]:
        """Facts of the checkpoint for reports; empty before anything was measured."""
        return self.store.facts(are_facts)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.samples.tasks

    @property
    def known_tasks(self) -> tuple[str, ...]:
        return self.samples.known_tasks

    def questions(self, task: str) -> tuple[Sample | Unscored, ...]:
        """Every question of a task, selected or not, usable or not."""
        return self.samples.questions(task)

    def order(self, task: str) -> Order | None:
        """The random order of a task's samples, as far as they are at hand; None without one."""
        return self.samples.orders.get(task)

    @property
    def self_test(self) -> tuple[dict[str, Any], ...]:
        """Outcome of the checks on this checkpoint: `name`, `passed`, `detail`; empty if none."""
        checks: Any = self.provenance.get("self_test", ())
        return tuple(checks)

    @property
    def noise_floor(self) -> float:
        """Largest relative change that a knockout of no edge made; a fraction, 0 if unmeasured."""
        return self.stored.noise_floor()

    def ensure(
        self, task: str, wants: Collection[Want[object]] = (), *, minimum_accuracy: float = 0.0
    ) -> None:
        """Measure what the store lacks of one task; returns at once when it lacks nothing.

        Once `minimum_accuracy`, a share of the scored samples, cannot be reached any more, only
        answers are measured. It is of no account where the reference answer is followed.

        Raises:
            MechanismError: The question file has no samples of the task.
            StoreError: The store cannot be read or written, or loses what it is given.
        """
        if not self.missing(task, wants):
            return
        minimum = minimum_accuracy if self.follow is Followed.ANSWER else 0.0
        # Another worker may be measuring the same: wait, then look again.
        with self.alone(task):
            self.store.catch_up()
            for _ in range(_ATTEMPTS):
                jobs = self.missing(task, wants)
                if not jobs or self._measure(task, jobs, self.stored.mastery(task, minimum)):
                    return
        raise self._forgetful(task)

    def missing(self, task: str, wants: Collection[Want[object]] = ()) -> list[Job]:
        """What the store lacks of one task, to be measured here or elsewhere."""
        wants = self._resolved(wants)
        self._asked.setdefault(task, {}).update(dict.fromkeys(wants))
        return self.stored.jobs(task, wants)

    def alone(self, task: str) -> AbstractContextManager[None]:
        """The only process that measures these samples of a task."""
        return self.store.lock(f"measure-{task}{self.samples.lock}")

    def settle(self, task: str, measured: Iterable[Job]) -> None:
        """Merge what was found of all that was asked of a task."""
        self.stored.redone.update(job.key for job in measured)
        self.store.compact(self._shards(task))

    def _shards(self, *tasks: str) -> tuple[Shard, ...]:
        """Of all that was asked of some tasks.

        Not of what was missing alone: a killed run may have left the rest.
        """
        asked = dict.fromkeys(want.shard for task in tasks for want in self._asked[task])
        return (ANSWERS, UNSCORED, PATCHES, *asked)

    def _measure(self, task: str, jobs: Sequence[Job], mastery: Mastery) -> bool:
        """Measure some jobs; False where not all of it is found in the store again."""
        checkpoint = self.checkpoint
        measuring = importlib.import_module("mmflow_bench.measurements.measuring")
        tell = self._progress or (lambda *_: None)
        tell(task, 0, len(jobs))
        finished = measuring.measure(
            checkpoint, jobs, batch_size=self.settings.batch_size, goes_on=mastery.is_possible
        )
        written: dict[Shard, set[object]] = {}
        try:
            for done, measured in enumerate(finished, start=1):
                self.store.append(measured.rows, sample=measured.key)
                for shard, rows in measured.rows.items():
                    written.setdefault(shard, set()).update(row["sample"] for row in rows)
                mastery.see(measured.rows)
                tell(task, done, len(jobs))
            self.settle(task, jobs)
        finally:
            # Also where it was stopped: others go on with what is there.
            self.store.share(self._shards(task))
        return all(keys <= self.store.finished(shard) for shard, keys in written.items())

    def _forgetful(self, task: str) -> StoreError:
        return StoreError(
            f"a store that keeps what it is given, got one that lost measurements {_ATTEMPTS} "
            f"times (task {task}, {self.store.folder}); point --mmflow-cache at another disk"
        )

    def _resolved(self, wants: Collection[Want[object]]) -> tuple[Want[object], ...]:
        """What is asked of this checkpoint; of which nothing need be known to ask nothing."""
        if not wants:
            return ()
        return resolved(wants, width=self.width, layers=self.decoder_layers)

    def _ensured(
        self, task: str, wants: Collection[Want[object]], read: Callable[[], Value]
    ) -> Value:
        """What is read of a task once all of it is there."""
        for _ in range(_ATTEMPTS):
            self.ensure(task, wants)
            value = read()
            # A file may turn out to be damaged only when it is read: its rows are missing then.
            if not self.stored.jobs(task, self._resolved(wants)):
                return value
        raise self._forgetful(task)

    def accuracy(self, task: str) -> AnswerCount:
        return self._ensured(task, (), lambda: self.stored.accuracy(task))

    def refusals(self, task: str) -> Refusals:
        """Edge or `lens` -> reason -> answered samples that it could not be measured on.

        Of everything that was asked of the task, here or of a part of the samples.
        """
        return self.stored.refusals(task, self._asked.get(task, ()))

    def answered(self) -> list[dict[str, object]]:
        return list(answered(self.stored))

    def described(self) -> list[dict[str, object]]:
        return list(described(self.stored))

    def messages(self, *, limit: int) -> list[str]:
        """A few full explanations of samples that could not be measured, one for each reason."""
        unreadable = {bad.reason: bad.message for bad in reversed(self.samples.unreadable)}
        return [*unreadable.values(), *self.stored.messages(limit=limit)][:limit]

    def table(self, task: str, want: Want[Table]) -> Table:
        """What a want tells of a task, over its kept samples; measures what is missing."""

        def table() -> Table:
            layers = self.decoder_layers
            return self.stored.table(task, want.scaled(layers).at(self.width), layers=layers)

        return self._ensured(task, [want], table)

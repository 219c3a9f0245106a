"""What measures, one for each accelerator: the checkpoint loaded once, jobs as they come.

The same object whoever calls it, a process of this machine or an actor far away.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.errors import EngineError, MMFlowError, SampleError, StoreError
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that a worker has to know; crosses to other machines."""

    checkpoint: CheckpointSettings
    measurement: MeasurementSettings
    folder: Path
    """Where the user stands, whose paths may be relative."""
    store: Path
    """The folder of the store, as whoever deals has it."""
    sign: Path
    """A file that is there for as long as the fleet is."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the domain, as it crosses to whoever deals."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: MMFlowError) -> Refusal:
        return cls(type(error).__name__, str(error))

    def error(self) -> MMFlowError:
        """The same error again, of its own class where that takes a message alone."""
        plain = (one for one in MMFlowError.__subclasses__() if one is not SampleError)
        known = {one.__name__: one for one in plain}
        return known.get(self.kind, EngineError)(self.message)


class Worker:
    """Measures jobs of one checkpoint, and appends what it finds to the store."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._measurements: Measurements | None = None

    def load(self) -> Refusal | None:
        """Load the checkpoint, prove the fast path on it, and keep its facts; or say why not."""
        try:
            self._measurements = self._opened()
            _ = self._measurements.checkpoint
        except MMFlowError as error:
            return Refusal.of(error)
        return None

    def measure(self, *jobs: Job) -> Refusal | None:
        """Measure some samples, each of which is stored when it is finished; or say why not."""
        # torch is imported here, not where whoever deals reads this file.
        from mmflow_bench.measurements.measuring import measure

        opened = self._measurements
        assert opened is not None
        size = self._recipe.measurement.batch_size
        try:
            for measured in measure(opened.checkpoint, jobs, batch_size=size):
                opened.store.append(measured.rows, sample=measured.key)
        except MMFlowError as error:
            return Refusal.of(error)
        return None

    def _opened(self) -> Measurements:
        recipe = self._recipe
        if recipe.folder.is_dir():
            os.chdir(recipe.folder)
        if not recipe.sign.exists():
            raise StoreError(
                "a store that every worker writes to, got a folder that this one does not see "
                f"({recipe.store}, {platform.node()}); point --mmflow-cache at a disk that all "
                "nodes share"
            )
        # What empties or divides the store is for whoever deals.
        settings = replace(
            recipe.measurement, refresh=False, shard=None, engine="local", workers=None
        )
        spec = resolve_spec(recipe.checkpoint.names[0], recipe.checkpoint)
        opened = Measurements.open(spec, settings)
        if opened.store.folder != recipe.store:
            raise EngineError(
                "the same checkpoint, options and versions of packages on every node, got others "
                f"on {platform.node()} (its store is {opened.store.folder.name}, not "
                f"{recipe.store.name}); install the same versions of mmflow-bench, torch and "
                "transformers there"
            )
        return opened

"""Measurements of a model that is in memory already, and may change there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmflow_bench.checkpoints.aliases import Processor
from mmflow_bench.checkpoints.in_memory import content_hash, undisturbed, unwrapped
from mmflow_bench.checkpoints.loading import assemble_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError
from mmflow_bench.measurements.jobs import Job, Mastery
from mmflow_bench.measurements.proved import proved
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements, Progress, asked_samples
from mmflow_bench.measurements.settings import MeasurementSettings


class MeasurementsInMemory(Measurements):
    """What a model in memory does; it is as it was before whenever nothing is being measured."""

    def __init__(
        self,
        model: object,
        processor: Processor,
        spec: CheckpointSpec,
        settings: MeasurementSettings,
        *,
        samples: SampleSet | None = None,
        progress: Progress | None = None,
        is_tested: bool = True,
    ) -> None:
        """Open the store of a model as it is now.

        Args:
            model: Of transformers, or wrapped by peft or data parallelism.
            processor: Its processor, or its tokenizer if it takes no images.
            spec: Whose `kind` is `memory`.
            settings: How it is asked, and where results are kept.
            samples: What it is asked; by the settings when None.
            progress: Told how far it is.
            is_tested: Whether knockouts are to be proved on it, if the settings ask for that; a
                model that was proved before and has only been trained since need not be.

        Raises:
            CheckpointError: It is no model, or its weights are elsewhere.
            MMFlowError: The questions or the store cannot be opened.
        """
        self._model, self._processor = unwrapped(model), processor  # type: ignore[arg-type]
        self._is_tested = is_tested and settings.self_test
        super().__init__(
            spec,
            samples or asked_samples(spec, settings),
            settings,
            progress=progress,
            identity=content_hash(self._model, processor),
        )

    def _load(self) -> tuple[Any, dict[str, object]]:
        with undisturbed(self._model):
            checkpoint = assemble_checkpoint(
                self._model, self._processor, spec=self.spec, identity=self._unchanged()
            )
            return checkpoint, proved(checkpoint, self.samples, is_tested=self._is_tested)

    def _measure(self, task: str, jobs: Sequence[Job], mastery: Mastery) -> bool:
        with undisturbed(self._model):
            self._unchanged()
            return super()._measure(task, jobs, mastery)

    def _unchanged(self) -> str:
        """The content hash, which must be that of when it was opened.

        Raises:
            CheckpointError: It has been trained on, or changed otherwise.
        """
        now = content_hash(self._model, self._processor)
        if now != self.fingerprint:
            raise CheckpointError(
                f"the weights that the model was opened with, got others ({self.name}); what is "
                "asked now would be of another checkpoint, so open it again"
            )
        return now

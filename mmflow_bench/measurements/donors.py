"""The same questions about other images: clean passes that the counterfactual method draws from."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.images import open_image
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import probabilities
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.taking import model_inputs, taking_inputs


class Donors:
    """Of the samples of one batch, which go through the model together here as they did before."""

    def __init__(self, checkpoint: LoadedCheckpoint, jobs: Sequence[Job]) -> None:
        self._checkpoint = checkpoint
        self._left = list(jobs)
        """Those that no pass has been made for."""
        self._passes: dict[str, CleanPass] = {}

    def clean_pass(self, job: Job) -> CleanPass:
        """The clean pass of a sample's question about its donor's image; to be asked for once.

        Raises:
            KnockoutError: The sample has no donor.
            SampleError: The donor's image cannot be read, or nothing is answered about it.
        """
        if job.key not in self._passes:
            self._make(job)
        clean = self._passes.pop(job.key)
        # Its answer is followed: there has to be one.
        probabilities(clean.logits, of=f"another image, sample {job.sample.question_id}")
        return clean

    def forget(self) -> None:
        """Give back what is kept, where memory is short."""
        self._passes.clear()

    def _make(self, job: Job) -> None:
        """That of one sample, and with it those of all that will ask for theirs."""
        encoded = {job.key: self._encoded(job)}
        for other in self._left:
            if other.key != job.key and other.reads_donor:
                try:
                    encoded[other.key] = self._encoded(other)
                except (KnockoutError, SampleError):
                    continue  # Said where it is asked for.
        self._left = []
        with taking_inputs(self._checkpoint, encoded[job.key]):
            passes = clean_passes(self._checkpoint, [*map(model_inputs, encoded.values())])
        self._passes.update(zip(encoded, passes, strict=True))

    def _encoded(self, job: Job) -> EncodedSample:
        if job.donor is None:
            raise KnockoutError(
                "another sample of the task with an image and another answer, got none "
                f"(sample {job.sample.question_id}); the counterfactual method needs one, use "
                "more samples"
            )
        donated, own = open_image(job.donor), open_image(job.sample)
        if donated.size != own.size:
            # The same shape, so that both images take the same positions.
            donated = donated.resize(own.size, Image.Resampling.BICUBIC)
        return encode(job.sample, self._checkpoint, image=donated)

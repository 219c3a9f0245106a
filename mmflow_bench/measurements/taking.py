"""What a model is given of a sample, and what it means where it does not take it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from torch import Tensor

from mmflow_bench.checkpoints.foreign import foreign, is_out_of_memory
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import EncodedSample


def model_inputs(encoded: EncodedSample) -> Mapping[str, Tensor]:
    """What `model(**inputs)` takes."""
    return {"input_ids": encoded.input_ids[None], **encoded.model_inputs}


def taking_inputs(
    checkpoint: LoadedCheckpoint, encoded: EncodedSample
) -> AbstractContextManager[None]:
    """A CheckpointError where the model does not take what its processor has made of a sample."""
    return foreign(
        "a model that takes what its tokenizer and processor make",
        f"checkpoint {checkpoint.spec.name}, sample {encoded.sample.question_id}",
        "check that configuration, weights and processor are of one model",
        # Fewer samples may fit.
        passing=is_out_of_memory,
    )

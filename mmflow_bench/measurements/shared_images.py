"""Several questions about one image: the image goes through the model once.

What comes before a question, and the image most of all, is the same for all questions about it. So
those samples are measured as a pass up to the image's last position, kept for as long as the image
stays the same, and what follows it (docs/decisions/057).
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import torch
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.clean import PER_TOKEN, clean_passes
from mmflow_bench.interventions.extending import extended
from mmflow_bench.interventions.recording import CleanPass


class SharedImage:
    """The pass up to the last position of the image that was seen last."""

    def __init__(self, checkpoint: LoadedCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._inputs: Mapping[str, Tensor] = {}
        self._beginning: CleanPass | None = None

    def clean_pass(self, encoded: EncodedSample, keeps: Set[int]) -> CleanPass | None:
        """The clean pass of a sample; None where it has to be made as a whole.

        That is where a sample has no image, or nothing after it; where the model counts positions
        by the rows and columns of its images, so that it has to see all of them; and where the
        image sees the question, as in PaliGemma. What enters the layers in `keeps` is kept up to
        the image's end.
        """
        parts = self._checkpoint.parts
        ids = encoded.input_ids
        images = [
            place for place, token in enumerate(ids.tolist()) if token == parts.image_token_id
        ]
        if parts.places_images or not images or images[-1] + 1 == len(ids):
            return None
        end = images[-1] + 1
        if _sees_what_follows(encoded, end):
            return None
        begun = self._begun(encoded, end, keeps)
        try:
            return extended(self._checkpoint, begun, ids[end:].tolist())
        except KnockoutError:
            # A decoder that attends otherwise beside kept keys is measured as a whole.
            return None

    def forget(self) -> None:
        """Give back what is kept, where memory is short."""
        self._inputs, self._beginning = {}, None

    def _begun(self, encoded: EncodedSample, end: int, keeps: Set[int]) -> CleanPass:
        given = encoded.model_inputs.items()
        inputs = {
            "input_ids": encoded.input_ids[None, :end],
            **{name: one[:, :end] if name in PER_TOKEN else one for name, one in given},
        }
        begun = self._beginning
        if begun and keeps <= begun.entering.keys() and _are_equal(inputs, self._inputs):
            return begun
        self.forget()
        (self._beginning,) = clean_passes(self._checkpoint, [inputs], keeps=keeps)
        self._inputs = inputs
        return self._beginning


def _sees_what_follows(encoded: EncodedSample, end: int) -> bool:
    """Whether a prompt sees itself in both directions: what follows the image is of its type."""
    types = encoded.model_inputs.get("token_type_ids")
    return types is not None and bool((types[0, end:] == types[0, end - 1]).any())


def _are_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

"""What one sample's patches are like before and after the projector, and in the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import NOT_FINITE, PositionError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.tower import feature_norms
from mmflow_bench.positions.role_positions import Positions
from mmflow_bench.positions.sinks import MASSIVE, sink_threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatchFeatures:
    """Norms of one sample's patches: image positions but newlines."""

    positions: Positions
    """Of the patches, ascending."""
    tower: Float[ndarray, "patch"]
    """L2 norm of what enters the projector."""
    projected: Float[ndarray, "patch"]
    """L2 norm of what enters the decoder."""
    massive: Float[ndarray, "patch"]
    """How massive the patch is in mid-decoder, where the first position is massive."""
    threshold: float
    """Norm before the projector above which a patch is a sink."""

    @property
    def sinks(self) -> frozenset[int]:
        """Positions of the tower's sinks."""
        return self._where(self.tower > self.threshold)

    def _where(self, chosen: ndarray) -> frozenset[int]:
        return frozenset(self.positions[i] for i in np.flatnonzero(chosen))


def patch_features(
    checkpoint: LoadedCheckpoint,
    encoded: EncodedSample,
    clean: CleanPass,
    image: Positions,
) -> PatchFeatures:
    """Norms of the patches among the image positions; costs one pass of the tower.

    Raises:
        PositionError: The family's features cannot be told (`no-patch-features`), or a norm is no
            number (`not-finite`).
    """
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    name = encoded.sample.question_id
    norms = feature_norms(checkpoint, inputs, sample=name).cpu().double().numpy()
    positions = tuple(position for position in image if np.isfinite(norms[position]))
    if not positions:
        raise PositionError(
            f"image positions with features of the vision tower, got none of {len(image)} (family "
            f"{checkpoint.parts.name}, sample {name}); leave out what needs norms of patches",
            reason="no-patch-features",
        )
    where = list(positions)
    tower = norms[where]
    projected = clean.embeddings[where].float().norm(dim=-1).cpu().double().numpy()
    massive = clean.massive[where].cpu().double().numpy()
    if not np.isfinite(np.concatenate([projected, massive])).all():
        raise PositionError(
            f"norms of patches that are numbers, got NaN or infinity (sample {name}); load the "
            "weights with --model-args=dtype=bfloat16 or float32",
            reason=NOT_FINITE,
        )
    return PatchFeatures(
        positions=positions,
        tower=tower,
        projected=projected,
        massive=massive,
        threshold=sink_threshold(tower, checkpoint.model.config),
    )


def decoder_sinks(clean: CleanPass, image: Positions) -> frozenset[int]:
    """Image positions that are massive where the first position is; costs no pass."""
    is_massive = (clean.massive >= MASSIVE).cpu()
    return frozenset(position for position in image if bool(is_massive[position]))

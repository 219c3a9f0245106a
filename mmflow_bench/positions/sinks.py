"""Which image positions are sinks, by the norms of their features and by massive activations.

High-norm patches of a vision transformer hold global instead of local information (Darcet et al.,
ICLR 2024, arXiv:2309.16588). The paper leaves out those above 57 of its tower (App. E); how others
are found is decision 043.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

PAPER_THRESHOLD = 57.0
"""Norm of a feature, in the layer of the tower that is read, above which a patch is a sink."""
PAPER_COUNT, PAPER_PATCHES = 3.3, 576
"""Patches above it, and patches, of an average image."""
ALIKE = 0.001
"""Norms that differ by less, relatively, are one norm: half precision rounds the features, and
their norms by about a tenth of this."""
MASSIVE = 20.0
"""Times the root mean square of its position that an activation must be to be massive (tau of Kang
et al., ICLR 2025, arXiv:2503.03321)."""
_PAPER_TOWER = {
    "model_type": "clip_vision_model",
    "image_size": 336,
    "patch_size": 14,
    "hidden_size": 1024,
    "num_hidden_layers": 24,
}
_PAPER_LAYER = -2


def is_papers_tower(config: object) -> bool:
    """Whether a model reads the layer of CLIP ViT-L/14-336 that the paper's norms are of.

    Args:
        config: Of the model, as transformers has it.
    """
    vision = getattr(config, "vision_config", None)
    is_tower = all(getattr(vision, name, None) == value for name, value in _PAPER_TOWER.items())
    return is_tower and getattr(config, "vision_feature_layer", None) == _PAPER_LAYER


def sink_threshold(norms: Float[ndarray, "patch"], config: object) -> float:
    """The norm above which a patch of one image is a sink.

    The paper's for its tower. For others what as large a share of the image's own patches is above,
    at least one; none that is alike to a patch beyond that share, so that of equal norms none is.

    >>> sink_threshold(np.array([1.0, 9.0, 1.0]), config=None)
    1.001
    """
    if is_papers_tower(config):
        return PAPER_THRESHOLD
    count = max(1, round(len(norms) * PAPER_COUNT / PAPER_PATCHES))
    # With no patch more than may be sinks, none stands out.
    if count >= len(norms):
        return float(norms.max(initial=0.0)) * (1 + ALIKE)
    return float(np.sort(norms)[-count - 1]) * (1 + ALIKE)

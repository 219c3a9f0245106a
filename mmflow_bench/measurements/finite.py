"""Numbers that are none are in no table, whoever has measured them."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from mmflow_bench.errors import StoreError


def refuse_not_finite(what: str, *values: ndarray) -> None:
    """Refuse numbers that are none: no curve is read of them, and no verdict.

    Raises:
        StoreError: One of them is NaN or infinite.
    """
    if not all(np.isfinite(some).all() for some in values):
        raise StoreError(
            f"probabilities of {what} that are finite, got NaN or infinity; measure them again "
            "with --refresh, or look at the plugin that has measured them"
        )

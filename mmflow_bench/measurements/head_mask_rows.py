"""One edge of one sample cut in random halves of the heads, measured in one growing batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from mmflow_bench.errors import KnockoutError, NotFiniteError, SampleError
from mmflow_bench.interventions.knockout import Knockout, Together
from mmflow_bench.measurements.answer import probabilities
from mmflow_bench.measurements.cut_path_rows import seeing
from mmflow_bench.measurements.head_masks import PAIRS, HeadMasks, random_half
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows


def head_mask_rows(wants: Sequence[HeadMasks], work: SampleAtWork) -> Rows:
    """A row for each edge and mask; one `unscored` row for an edge that is refused."""
    rows: Rows = {}
    for want in wants:
        try:
            rows[want.shard] = _rows(want, work)
        except (KnockoutError, SampleError) as error:
            merge(rows, work.refused(want, error))
    return rows


def _rows(want: HeadMasks, work: SampleAtWork) -> list[dict[str, object]]:
    parts = work.checkpoint.parts
    layers, heads = work.checkpoint.decoder_layers, int(parts.text_config.num_attention_heads)
    key = work.job.key_of(want)
    every = np.ones((layers, heads), dtype=bool)
    masks = [~every, every]
    for pair in range(PAIRS):
        half = random_half(key, pair, layers=layers, heads=heads)
        masks += [half, ~half]
    sources, targets = (work.roles.union(of) for of in (want.edge.sources, want.edge.targets))
    targets = seeing(work.clean, sources, targets)
    logits = work.throttle.knockout_logits(
        work.clean, [_cut(mask, sources, targets) for mask in masks]
    )
    own, *reference = work.followed
    return [
        {
            "sample": key,
            "mask": number,
            "heads": heads,
            "log_odds": log_odds(of_mask, own, want, work),
            "reference_log_odds": log_odds(of_mask, reference[0], want, work)
            if reference
            else None,
        }
        for number, of_mask in enumerate(logits)
    ]


def _cut(
    mask: Bool[ndarray, "layer head"], sources: tuple[int, ...], targets: tuple[int, ...]
) -> Together:
    return Together(
        parts=tuple(
            Knockout(
                sources=sources,
                targets=targets,
                layers=range(layer, layer + 1),
                heads=None if of_layer.all() else tuple(np.flatnonzero(of_layer).tolist()),
            )
            for layer, of_layer in enumerate(mask)
        )
    )


def log_odds(
    logits: Float[Tensor, "vocab"], tokens: Sequence[int], want: HeadMasks, work: SampleAtWork
) -> float:
    """log(p / (1 - p)) of some tokens together, with digits also where p is near 1.

    Raises:
        NotFiniteError: The logits have no softmax, or nothing else has any chance.
    """
    of = f"{want.name}, sample {work.sample.question_id}"
    probabilities(logits, of=of)
    is_own = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    is_own[list(tokens)] = True
    own, other = (torch.logsumexp(logits[chosen].double(), 0) for chosen in (is_own, ~is_own))
    odds = float(own - other)
    if not np.isfinite(odds):
        raise NotFiniteError(of)
    return odds

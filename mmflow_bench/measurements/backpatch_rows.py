"""Back-patching of one sample, measured: one pass for each pair of layers.

What enters the decoder is known from the clean pass, so that no image is looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.backpatching import patched_pass
from mmflow_bench.interventions.clean import PER_TOKEN
from mmflow_bench.measurements.answer import greedy_answer
from mmflow_bench.measurements.backpatch import BackPatch
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.role_positions import Positions
from mmflow_bench.positions.roles import Role


def backpatch_rows(wants: Sequence[BackPatch], work: SampleAtWork) -> Rows:
    """A row for each pair of layers; one `unscored` row for one that is refused."""
    rows: Rows = {}
    try:
        image = work.roles[Role.IMAGE]
    except (KnockoutError, SampleError) as error:
        for want in wants:
            merge(rows, work.refused(want, error))
        return rows
    for want in wants:
        try:
            rows[want.shard] = [_row(want, work, image)]
        except (KnockoutError, SampleError) as error:
            merge(rows, work.refused(want, error))
    return rows


def _inputs(work: SampleAtWork) -> dict[str, Tensor]:
    """What gives the sample's clean pass again, without its image."""
    given = work.encoded.model_inputs.items()
    return {
        "inputs_embeds": work.clean.embeddings[None],
        "position_ids": work.clean.positions[..., None, :],
        **{name: value for name, value in given if name in PER_TOKEN},
    }


def _row(want: BackPatch, work: SampleAtWork, image: Positions) -> dict[str, object]:
    late, early = want.layers(work.checkpoint.decoder_layers)
    states = work.clean.entering[late][list(image)]
    patched = patched_pass(
        work.checkpoint, _inputs(work), positions=image, layer=early, states=states
    )
    answer = greedy_answer(work.checkpoint, patched, work.sample)
    return {
        "sample": work.job.key_of(want),
        "prediction": answer["prediction"],
        "is_correct": answer["is_correct"],
        # No first token that the vocabulary knows has no chance either.
        "reference_probability": answer["reference_probability"] or 0.0,
    }

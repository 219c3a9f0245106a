"""Back-patching of one sample, measured: one pass for the late states, and one for each pair.

What enters the decoder is known from the clean pass, so that no image is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.backpatching import States, patched_pass, states_entering
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
        late = {want.layers(work.checkpoint.decoder_layers)[0] for want in wants}
        inputs = _inputs(work)
        states = states_entering(work.checkpoint, inputs, positions=image, layers=late)
    except (KnockoutError, SampleError) as error:
        for want in wants:
            merge(rows, work.refused(want, error))
        return rows
    for want in wants:
        try:
            rows[want.shard] = [_row(want, work, inputs, image, states)]
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


def _row(
    want: BackPatch,
    work: SampleAtWork,
    inputs: Mapping[str, Tensor],
    image: Positions,
    states: Mapping[int, States],
) -> dict[str, object]:
    late, early = want.layers(work.checkpoint.decoder_layers)
    patched = patched_pass(
        work.checkpoint, inputs, positions=image, layer=early, states=states[late]
    )
    answer = greedy_answer(work.checkpoint, patched, work.sample)
    return {
        "sample": work.job.key_of(want),
        "prediction": answer["prediction"],
        "is_correct": answer["is_correct"],
        # No first token that the vocabulary knows has no chance either.
        "reference_probability": answer["reference_probability"] or 0.0,
    }

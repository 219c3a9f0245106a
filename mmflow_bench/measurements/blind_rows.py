"""A question asked without its image, measured: the image's positions are left out of the pass.

A position that nobody attends to, in any layer, leaves no trace in the others: that is what a
knockout of every edge from the image gives. So the decoder is run over the rest alone, every
position in the place that it has beside the image (docs/decisions/028).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.clean import PER_TOKEN, clean_passes
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import greedy_answer, probabilities
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.roles import Role

TIE = 1e-6
"""First tokens whose probabilities differ by less are equally likely: none of them is an answer,
for which of them comes first is up to the machine."""


def blind_rows(wants: Sequence[Blind], work: SampleAtWork) -> Rows:
    """A row for each way of taking the image away; one `unscored` row for one that is refused."""
    rows: Rows = {}
    for want in wants:
        try:
            rows[want.shard] = [_row(want, work)]
        except (KnockoutError, SampleError) as error:
            merge(rows, work.refused(want, error))
    return rows


def without_image(work: SampleAtWork) -> CleanPass:
    """The pass of a sample over all positions but the image's, each in the place that it had.

    Raises:
        PositionError: The sample has no image.
        KnockoutError: The model's own mask depends on the image, as a sliding window does that
            reaches further back over the gap.
    """
    image, clean = frozenset(work.roles[Role.IMAGE]), work.clean
    kept = [position for position in range(clean.length) if position not in image]
    given = work.encoded.model_inputs.items()
    inputs = {
        "inputs_embeds": clean.embeddings[None, kept],
        "position_ids": clean.positions[..., None, kept],
        **{name: value[:, kept] for name, value in given if name in PER_TOKEN},
    }
    blind = clean_passes(work.checkpoint, [inputs])[0]
    masks = zip(blind.visible, clean.visible, strict=True)
    if not all(torch.equal(seen, before[kept][:, kept]) for seen, before in masks):
        raise KnockoutError(
            "positions that see the same others whether the image stands between them or not, got "
            f"other masks (sample {work.sample.question_id}, family {work.checkpoint.parts.name}); "
            "its answer without the image is left out"
        )
    return blind


def _row(want: Blind, work: SampleAtWork) -> dict[str, object]:
    is_removed = want.blinding is Blinding.REMOVED
    if not is_removed:
        # A sample without an image has none that could be exchanged.
        _ = work.roles[Role.IMAGE]
    blind = without_image(work) if is_removed else work.donated
    answer = greedy_answer(work.checkpoint, blind, work.sample)
    chances = probabilities(blind.logits, of=f"{want.name}, sample {work.sample.question_id}")
    first, second = chances.topk(2).values.tolist()
    return {
        "sample": work.job.key_of(want),
        "prediction": answer["prediction"],
        "is_correct": answer["is_correct"] and first - second > TIE,
        "blind_probability": float(chances[work.answer["answer_token_id"]]),
        "reference_probability": answer["reference_probability"],
    }

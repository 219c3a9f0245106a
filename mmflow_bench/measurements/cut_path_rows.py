"""Several edges of one sample cut at once, measured: all that is asked goes through together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.knockout import Knockout, Method, Together
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.answer import first_tokens, probabilities
from mmflow_bench.measurements.blind_rows import TIE
from mmflow_bench.measurements.cut_paths import CutPaths
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows


def cut_path_rows(wants: Sequence[CutPaths], work: SampleAtWork) -> Rows:
    """A row for each set of stretches; one `unscored` row for one that is refused."""
    rows: Rows = {}
    planned: dict[CutPaths, Together] = {}
    for want in wants:
        try:
            planned[want] = _together(want.stretches, work)
        except SampleError as error:
            merge(rows, work.refused(want, error))
    for method in Method:
        merge(rows, _measured({w: c for w, c in planned.items() if w.method is method}, work))
    return rows


def _together(stretches: Sequence[Stretch], work: SampleAtWork) -> Together:
    return Together(
        parts=tuple(
            Knockout(
                sources=sources,
                targets=targets,
                layers=layers,
                spares_self=stretch.spares_self,
            )
            for stretch in stretches
            for sources, targets in [_positions(stretch, work)]
            for layers in stretch.layers(work.checkpoint.decoder_layers)
        )
    )


def _positions(stretch: Stretch, work: SampleAtWork) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sources, targets = (
        work.roles.union(roles) for roles in (stretch.edge.sources, stretch.edge.targets)
    )
    return sources, seeing(work.clean, sources, targets)


def seeing(clean: CleanPass, sources: Collection[int], targets: Sequence[int]) -> tuple[int, ...]:
    """Those of `targets` that see a source in some layer; the rest need not be computed again.

    Where text stands before an image it sees none of it, and a pass that began there would be of
    the whole sequence.
    """
    masks = {id(visible): visible for visible in clean.visible}.values()
    seen = torch.stack([mask[list(targets)][:, list(sources)].any(dim=1) for mask in masks])
    return tuple(t for t, sees in zip(targets, seen.any(dim=0).tolist(), strict=True) if sees)


def _measured(planned: Mapping[CutPaths, Together], work: SampleAtWork) -> Rows:
    rows: Rows = {}
    if not planned:
        return rows
    method = next(iter(planned)).method
    try:
        logits = work.throttle.knockout_logits(work.clean, [*planned.values()], method=method)
    except (KnockoutError, SampleError) as error:
        if len(planned) == 1:
            return work.refused(next(iter(planned)), error)
        # What is refused must not hide the others: each on its own.
        for want, cut in planned.items():
            merge(rows, _measured({want: cut}, work))
        return rows
    for want, of_want in zip(planned, logits, strict=True):
        try:
            rows[want.shard] = [_row(want, of_want, work)]
        except SampleError as error:
            merge(rows, work.refused(want, error))
    return rows


def _row(want: CutPaths, logits: Float[Tensor, "vocab"], work: SampleAtWork) -> dict[str, object]:
    chances = probabilities(logits, of=f"{want.name}, sample {work.sample.question_id}")
    own, reference = work.answer["answer_token_id"], work.answer["reference_token_id"]
    tokens = sorted(first_tokens(work.checkpoint, work.sample.answer))
    first, second = chances.topk(2)[0].tolist()
    # Of first tokens that are equally likely it is up to the machine which comes first.
    best = int(chances.argmax()) if first - second > TIE else None
    return {
        "sample": work.job.key_of(want),
        "knockout_probability": float(chances[own]),
        "is_likeliest": best == own,
        "reference_probability": None if reference is None else float(chances[tokens].sum()),
        "is_reference_likeliest": best in tokens,
    }

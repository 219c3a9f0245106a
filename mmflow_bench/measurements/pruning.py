"""Plans of removal followed by real generation, sample by sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.removal import Removal
from mmflow_bench.measurements.ahead import encoded_ahead
from mmflow_bench.measurements.generating import REPEATS, generated
from mmflow_bench.measurements.pruned import Generated, PlanAnswers, PlanLayers
from mmflow_bench.measurements.removal_rows import removed_positions
from mmflow_bench.positions.resolve import resolve_roles

Told = Callable[[int], None]
"""Called with how many samples are done."""


def answers_of_plans(
    checkpoint: LoadedCheckpoint,
    samples: Sequence[Sample],
    plans: Sequence[PlanLayers],
    *,
    repeats: int = REPEATS,
    tell: Told = lambda _: None,
) -> list[PlanAnswers]:
    """Every sample answered with its whole image, and once for each plan without what it removes.

    A sample that a plan cannot be followed on is counted there, and is in the others all the same.
    """
    found: list[list[tuple[Sample, Generated, Generated]]] = [[] for _ in plans]
    unscored: list[Counter[str]] = [Counter() for _ in plans]
    for done, encoded in enumerate(encoded_ahead(checkpoint, samples), start=1):
        for i, one in enumerate(_of_sample(checkpoint, encoded, plans, repeats)):
            if isinstance(one, str):
                unscored[i][one] += 1
            else:
                found[i].append((samples[done - 1], *one))
        tell(done)
    return [
        PlanAnswers(
            layers=layers,
            samples=tuple(sample for sample, _, _ in rows),
            before=tuple(before for _, before, _ in rows),
            after=tuple(after for _, _, after in rows),
            unscored=dict(sorted(lost.items())),
        )
        for layers, rows, lost in zip(plans, found, unscored, strict=True)
    ]


def _of_sample(
    checkpoint: LoadedCheckpoint,
    encoded: EncodedSample | SampleError,
    plans: Sequence[PlanLayers],
    repeats: int,
) -> list[tuple[Generated, Generated] | str]:
    """The answers before and after, by plan; why there are none where a plan cannot be followed."""
    if isinstance(encoded, SampleError):
        return [encoded.reason] * len(plans)
    try:
        before = generated(checkpoint, encoded, repeats=repeats)
    except SampleError as error:
        return [error.reason] * len(plans)
    results: list[tuple[Generated, Generated] | str] = []
    for layers in plans:
        try:
            removals = _removals(checkpoint, encoded, layers)
            results.append((before, generated(checkpoint, encoded, removals, repeats=repeats)))
        except SampleError as error:
            results.append(error.reason)
        except KnockoutError:
            results.append("removal-refused")
    return results


def _removals(
    checkpoint: LoadedCheckpoint, encoded: EncodedSample, layers: PlanLayers
) -> list[Removal]:
    roles, question_id = resolve_roles(encoded, checkpoint), encoded.sample.question_id
    return [
        Removal(positions=removed_positions(roles, removed, question_id=question_id), layer=layer)
        for removed, layer in layers.items()
    ]

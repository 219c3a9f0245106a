"""Which questions a checkpoint answers correctly, asked no longer than needed (paper, App. A)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import ImageSource, Sample
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements

BLOCK = 100
"""Questions between two looks at whether there are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of the questions of one task."""

    kept: tuple[Sample, ...]
    """Answered correctly, in the order given."""
    asked: int
    """Questions whose answer was decoded, in random order."""
    wrong: int
    """Of these, the ones that were answered incorrectly."""
    unscored: dict[str, int]
    """Reason -> questions that could not be asked."""
    not_needed: int
    """Questions that were not asked: there were enough already."""


def sample_set(samples: Sequence[Sample], source: ImageSource | None = None) -> SampleSet:
    """Samples that come from no question file."""
    file = QuestionFile(samples=tuple(samples), unscored=(), fingerprint="", source=source)
    return SampleSet(file)


def drawn(samples: Sequence[Sample], *, limit: int, seed: int) -> list[Sample]:
    """At most `limit` samples of one task, drawn at random and put back into their order."""
    chosen = set(_shuffled(samples, seed)[:limit])
    return [sample for index, sample in enumerate(samples) if index in chosen]


def answered_correctly(
    measurements: Measurements,
    samples: Sequence[Sample],
    *,
    limit: int,
    seed: int,
    source: ImageSource | None = None,
) -> Answered:
    """At most `limit` samples of one task that the checkpoint answers correctly.

    They are asked in the random order of `seed`; the store of the measurements keeps the answers,
    and `source` fetches the images.
    """
    order = _shuffled(samples, seed)
    kept: set[int] = set()
    unscored: Counter[str] = Counter()
    position = asked = 0
    while position < len(order) and len(kept) < limit:
        indices = order[position : position + BLOCK]
        block = measurements.on(sample_set([samples[index] for index in indices], source))
        count = block.accuracy(samples[0].task)
        right = {sample.question_id for sample in block.stored.kept(samples[0].task)}
        kept |= {index for index in indices if samples[index].question_id in right}
        unscored += Counter(count.unscored)
        asked += count.scored
        position += len(indices)
    # The last block may bring more than are wanted: those that were drawn first stay.
    chosen = sorted([index for index in order if index in kept][:limit])
    return Answered(
        kept=tuple(samples[index] for index in chosen),
        asked=asked,
        wrong=asked - len(kept),
        unscored=dict(sorted(unscored.items())),
        not_needed=len(order) - position + len(kept) - len(chosen),
    )


def _shuffled(samples: Sequence[Sample], seed: int) -> list[int]:
    order = list(range(len(samples)))
    task = samples[0].task if samples else ""
    random.Random(f"{seed}/{task}").shuffle(order)
    return order

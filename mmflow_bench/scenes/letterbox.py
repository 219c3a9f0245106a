"""Scenes that are wider than high, for checkpoints that pad a photo to a square."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from PIL import Image

from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.scenes.pictures import PATCH
from mmflow_bench.scenes.questions import PER_TASK, scene_samples
from mmflow_bench.scenes.rendering import SIZE

CUT = PATCH
"""Pixels that are cut off above and below: one row of patches each."""
_SPARE = 6
"""Scenes that are looked at for each that is wanted; more than a third can be cut."""


def letterbox_scene_samples(
    *, per_task: int = PER_TASK, seed: int = 0, tasks: Sequence[str] = SIX_TASKS
) -> tuple[Sample, ...]:
    """Scenes without their first and last row of patches, in which no asked-about object stands.

    Args:
        per_task: Samples of each task.
        seed: Another seed gives other scenes with other identifiers.
        tasks: Tasks of the paper, in the order wanted.

    Raises:
        QuestionError: A task is none of the six.
    """
    return tuple(
        sample
        for task in tasks
        for sample in islice(
            _cut(scene_samples(per_task=_SPARE * per_task, seed=seed, tasks=[task])), per_task
        )
    )


def _cut(samples: Sequence[Sample]) -> Iterator[Sample]:
    for sample in samples:
        if all(box.y >= CUT and box.y + box.height <= SIZE - CUT for box in sample.boxes):
            assert isinstance(sample.image, Image.Image)
            yield replace(
                sample,
                image=sample.image.crop((0, CUT, SIZE, SIZE - CUT)),
                image_height=SIZE - 2 * CUT,
                boxes=tuple(replace(box, y=box.y - CUT) for box in sample.boxes),
            )

"""Questions about scenes of which only a caption is known (paper, App. G)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.scenes.questions import PER_TASK, scene_samples


def caption_samples(
    *, per_task: int = PER_TASK, seed: int = 0, tasks: Sequence[str] = SIX_TASKS
) -> tuple[Sample, ...]:
    """Questions about rendered scenes with a caption in the image's place.

    The caption's first word is what the scene says of the question, capitalised as captions begin:
    a planted language model reads words and cannot reason about them.

    Args:
        per_task: Samples of each task.
        seed: Another seed gives other scenes with other identifiers.
        tasks: Tasks of the paper, in the order wanted.

    Raises:
        QuestionError: A task is none of the six.
    """
    return tuple(
        replace(
            sample,
            image=None,
            image_width=None,
            image_height=None,
            boxes=(),
            caption=f"{sample.answer.capitalize()} . A scene with objects .",
        )
        for sample in scene_samples(per_task=per_task, seed=seed, tasks=tasks)
    )

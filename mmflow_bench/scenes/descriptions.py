"""Scenes to be described: answers of four words, for checkpoints that speak in sentences."""

from __future__ import annotations

import random

from mmflow_bench.inputs.samples import Sample, Task
from mmflow_bench.scenes.composing import placed
from mmflow_bench.scenes.questions import PER_TASK
from mmflow_bench.scenes.rendering import Scene
from mmflow_bench.scenes.things import SIDES, gist_of

DESCRIBE = "Describe"
"""The task of these samples; none of the paper's."""
QUESTION = "What is in the photo?"


def described_scene_samples(*, per_task: int = PER_TASK, seed: int = 0) -> tuple[Sample, ...]:
    """Scenes with an object on either side, answered as in `left ball right cup`.

    Args:
        per_task: Samples, each of another image.
        seed: Another seed gives other scenes with other identifiers.
    """
    return tuple(_sample(index, seed) for index in range(per_task))


def _sample(index: int, seed: int) -> Sample:
    draw = random.Random(f"{seed}/{DESCRIBE}/{index}")
    left = placed(draw, side=SIDES[0])
    things = (left, placed(draw, [left], side=SIDES[1]))
    # The wallpaper suggests one of the sides, which nothing reads.
    scene = Scene(gist=gist_of(Task.QUERY_ATTR, draw.choice(SIDES)), objects=things)
    picture = scene.rendered()
    said = [f"{side} {thing.category}" for side, thing in zip(SIDES, things, strict=True)]
    name = f"scenes-{seed}-{DESCRIBE}-{index:04d}"
    return Sample(
        question_id=name,
        image_id=name,
        task=DESCRIBE,
        question=QUESTION,
        answer=" ".join(said),
        object_names=tuple(thing.category for thing in things),
        boxes=tuple(thing.box for thing in things),
        image=picture,
        image_width=picture.width,
        image_height=picture.height,
    )

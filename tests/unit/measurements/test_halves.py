"""Two halves of the samples that share no image."""

from __future__ import annotations

import pytest

from mmflow_bench.errors import SelectionError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.halves import halves
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.scenes.questions import scene_samples


def sample_set(samples):
    return SampleSet(QuestionFile(samples=tuple(samples), unscored=(), fingerprint=""))


def images(samples):
    return {sample.image_id for task in samples.tasks for sample in samples.of(task)}


def test_no_image_is_in_both_halves_and_every_sample_in_one():
    # Some images are asked about twice.
    whole = sample_set(scene_samples(per_task=9, tasks=["ChooseAttr", "QueryAttr"]))
    one, other = halves(whole)
    assert images(one).isdisjoint(images(other))
    assert images(one) | images(other) == images(whole)
    assert abs(len(images(one)) - len(images(other))) <= 1
    counts = [sum(len(part.of(task)) for task in part.tasks) for part in (one, other, whole)]
    assert counts[0] + counts[1] == counts[2]
    assert whole.by_task.keys() == one.by_task.keys()


def test_the_order_of_a_file_does_not_matter():
    samples = scene_samples(per_task=6, tasks=["ChooseAttr"])
    assert images(halves(sample_set(samples))[0]) == images(halves(sample_set(samples[::-1]))[0])


def test_too_few_images_are_refused():
    samples = scene_samples(per_task=3, tasks=["ChooseAttr"])
    with pytest.raises(SelectionError, match=r"at least 4 images, half of them to hold out, got 2"):
        halves(sample_set(samples))


def test_samples_without_an_image_are_none_to_hold_out():
    samples = [
        Sample(question_id=str(i), task="t", question="?", answer="a", image_id=str(i), image=None)
        for i in range(9)
    ]
    with pytest.raises(SelectionError, match="got 0; use more samples that have an image"):
        halves(sample_set(samples))

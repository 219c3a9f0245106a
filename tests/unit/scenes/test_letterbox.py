"""Scenes that are padded to a square."""

from __future__ import annotations

import pytest
from PIL import Image

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.scenes.letterbox import CUT, letterbox_scene_samples
from mmflow_bench.scenes.questions import scene_samples


def test_every_task_has_as_many_scenes_whose_asked_about_objects_are_whole() -> None:
    samples = letterbox_scene_samples(per_task=5)
    assert [sample.task for sample in samples] == [task for task in SIX_TASKS for _ in range(5)]
    assert len({sample.question_id for sample in samples}) == len(samples)
    for sample in samples:
        assert isinstance(sample.image, Image.Image)
        assert sample.image.size == (sample.image_width, sample.image_height) == (84, 56)
        assert all(box.y >= 0 and box.y + box.height <= 56 for box in sample.boxes)


def test_a_scene_is_the_same_but_for_what_is_cut_off() -> None:
    (cut,) = letterbox_scene_samples(per_task=1, tasks=["ChooseAttr"])
    whole = next(s for s in scene_samples(tasks=["ChooseAttr"]) if s.question_id == cut.question_id)
    assert isinstance(whole.image, Image.Image)
    assert isinstance(cut.image, Image.Image)
    assert cut.image.tobytes() == whole.image.crop((0, CUT, 84, 84 - CUT)).tobytes()
    assert [box.y + CUT for box in cut.boxes] == [box.y for box in whole.boxes]


def test_a_task_without_scenes_is_refused() -> None:
    with pytest.raises(QuestionError, match="got 'Other'"):
        letterbox_scene_samples(tasks=["Other"])

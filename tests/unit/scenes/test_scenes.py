"""Scenes are what their samples say: boxes, answers, options and clusters."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.samples import (
    CHOOSE_TASKS,
    SIX_TASKS,
    Box,
    Sample,
    sample_fingerprint,
)
from mmflow_bench.scenes.pictures import (
    object_drawing,
    object_mask,
    patch_book,
    squeezed_patch_book,
    wallpaper,
    with_skirting,
)
from mmflow_bench.scenes.questions import (
    PER_TASK,
    neutral_scene_samples,
    scene_samples,
    tiled_scene_samples,
)
from mmflow_bench.scenes.rendering import PlacedObject, Scene
from mmflow_bench.scenes.things import CATEGORIES, COLORS, GISTS, MATERIALS, PLURALS

GROUPED = 16
SAMPLES = scene_samples(per_task=GROUPED)


def pixels(sample: Sample) -> np.ndarray:
    assert isinstance(sample.image, Image.Image)
    return np.asarray(sample.image)


def cut(sample: Sample, box: Box) -> np.ndarray:
    left, top = int(box.x), int(box.y)
    return pixels(sample)[top : top + int(box.height), left : left + int(box.width)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_box_is_the_smallest_rectangle_around_the_objects_own_pixels(category: str) -> None:
    thing = PlacedObject(category=category, color="red", material="wood", row=2, column=3)
    canvas = np.zeros((84, 84), dtype=bool)
    canvas[28:56, 42:70] = object_mask(category)
    rows, columns = np.nonzero(canvas)
    box = thing.box
    assert (box.x, box.y) == (columns.min(), rows.min())
    assert (box.x + box.width, box.y + box.height) == (columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_object_reaches_into_each_of_its_four_patches(category: str) -> None:
    mask = object_mask(category)
    quarters = [mask[y : y + 14, x : x + 14] for y in (0, 14) for x in (0, 14)]
    assert all(quarter.any() for quarter in quarters)


def looks_of(name: str, colors: Sequence[str]) -> list[np.ndarray]:
    rows, columns = np.nonzero(object_mask(name))
    inside = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    return [object_drawing(name, color, matter)[inside] for color in colors for matter in MATERIALS]


def test_the_pixels_in_a_box_are_those_of_the_object_asked_about() -> None:
    for sample in scene_samples(tasks=["QueryAttr"]):
        shown = cut(sample, sample.boxes[0])
        assert any(np.array_equal(shown, look) for look in looks_of(sample.object_names[0], COLORS))


def test_the_color_in_the_answer_is_the_color_in_the_box() -> None:
    for sample in scene_samples(tasks=["ChooseAttr"]):
        shown, name = cut(sample, sample.boxes[0]), sample.object_names[0]
        assert any(np.array_equal(shown, look) for look in looks_of(name, [sample.answer]))


def test_wallpaper_and_objects_are_told_apart_by_every_patch() -> None:
    looks: dict[bytes, object] = {}
    for picture, gist, shown in patch_book():
        assert looks.setdefault(picture.tobytes(), (gist, shown)) == (gist, shown)
    assert {gist for gist, _ in looks.values() if gist is not None} == set(range(len(GISTS)))


def test_the_skirting_board_hides_no_object() -> None:
    for category in CATEGORIES:
        drawing = object_drawing(category, "red", "metal")
        changed = (with_skirting(drawing) != drawing).any(-1)
        assert not (changed & object_mask(category)).any()


def test_wallpaper_fills_every_patch_without_an_object() -> None:
    thing = PlacedObject(category="cup", color="red", material="wood", row=0, column=0)
    picture = np.asarray(Scene(gist=5, objects=(thing,)).rendered())
    assert np.array_equal(picture[14:28, 28:42], wallpaper(5))
    assert np.array_equal(picture[:28, :28], object_drawing("cup", "red", "wood"))


def test_the_same_seed_gives_the_same_samples() -> None:
    for first, second in zip(SAMPLES, scene_samples(per_task=16), strict=True):
        assert (first.question, first.answer, first.boxes) == (
            second.question,
            second.answer,
            second.boxes,
        )
        assert np.array_equal(pixels(first), pixels(second))


def test_another_seed_gives_other_identifiers_and_scenes() -> None:
    others = scene_samples(seed=1)
    assert not {sample.question_id for sample in SAMPLES} & {s.question_id for s in others}
    assert any(
        not np.array_equal(pixels(first), pixels(second))
        for first, second in zip(SAMPLES, others, strict=True)
    )


def test_fewer_samples_are_a_prefix_of_more() -> None:
    few = scene_samples(per_task=3, tasks=["LogicalObj"])
    many = scene_samples(per_task=9, tasks=["LogicalObj"])
    assert [sample.question for sample in few] == [sample.question for sample in many[:3]]


def test_question_ids_are_unique_and_one_image_is_one_picture() -> None:
    assert len({sample.question_id for sample in SAMPLES}) == len(SAMPLES)
    for first, second in combinations(SAMPLES, 2):
        if first.image_id == second.image_id:
            assert first.question != second.question
            assert np.array_equal(pixels(first), pixels(second))


@pytest.mark.parametrize("task", SIX_TASKS)
def test_some_images_are_asked_about_twice(task: str) -> None:
    counts = Counter(sample.image_id for sample in SAMPLES if sample.task == task)
    assert Counter(counts.values()) == {2: 4, 1: 8}


@pytest.mark.parametrize("made", [scene_samples, tiled_scene_samples])
@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_default_is_64_images_that_all_differ(task: str, made) -> None:
    samples = made(tasks=[task])
    pictures = {sample.image_id: pixels(sample).tobytes() for sample in samples}
    assert (len(samples), len(pictures)) == (PER_TASK, 64)
    assert len(set(pictures.values())) == 64
    answers = Counter(sample.answer for sample in samples)
    assert len(set(answers.values())) == 1


@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_options_take_turns_for_every_answer_where_images_are_asked_about_once(task: str) -> None:
    first: dict[str, list[bool]] = {}
    for sample in tiled_scene_samples(tasks=[task])[GROUPED:]:
        words = sample.question.replace(",", " ").replace("?", " ").split()
        order = words.index(sample.answer) < words.index(sample.false_option)
        first.setdefault(f"{sample.answer} {sample.image_width}", []).append(order)
    for orders in first.values():
        assert abs(sum(orders) - len(orders) / 2) <= 1


def test_the_first_samples_are_those_of_earlier_versions() -> None:
    """What is stored and blessed is of these: their pixels and words must not change."""
    told = "".join(sample_fingerprint(sample) for sample in SAMPLES)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "5dc6502d7b598d43"


@pytest.mark.parametrize("task", CHOOSE_TASKS)
def test_options_stand_stand_in_the_question_once_and_in_balanced_order(task: str) -> None:
    samples = [sample for sample in SAMPLES if sample.task == task]
    true_first = 0
    for sample in samples:
        assert sample.true_option == sample.answer
        assert sample.false_option is not None
        words = sample.question.replace(",", " ").replace("?", " ").split()
        assert words.count(sample.answer) == words.count(sample.false_option) == 1
        true_first += words.index(sample.answer) < words.index(sample.false_option)
    assert true_first == len(samples) / 2


@pytest.mark.parametrize("task", SIX_TASKS)
def test_object_names_are_words_of_the_question(task: str) -> None:
    for sample in scene_samples(tasks=[task]):
        words = sample.question.replace(",", " ").replace("?", " ").split()
        assert all(words.count(name) == 1 for name in sample.object_names)
        assert 1 <= len(sample.boxes) <= len(sample.object_names)


def test_answers_of_binary_tasks_are_balanced() -> None:
    for task in ("ChooseRel", "CompareAttr", "LogicalObj", "QueryAttr"):
        answers = Counter(sample.answer for sample in SAMPLES if sample.task == task)
        assert set(answers.values()) == {8}


def test_logical_questions_ask_about_things_that_are_there_and_things_that_are_not() -> None:
    samples = scene_samples(per_task=48, tasks=["LogicalObj"])
    assert {len(sample.boxes) for sample in samples} == {1, 2}
    assert all(name in PLURALS.values() for sample in samples for name in sample.object_names)


def test_no_two_boxes_of_a_sample_share_a_patch() -> None:
    for sample in SAMPLES:
        for one, two in combinations(sample.boxes, 2):
            rows = abs(one.y // 14 - two.y // 14)
            columns = abs(one.x // 14 - two.x // 14)
            assert rows > 1 or columns > 1


def test_a_task_without_scenes_is_refused() -> None:
    with pytest.raises(QuestionError, match="got 'Caption'") as caught:
        scene_samples(tasks=["Caption"])
    assert caught.value.reason == "no-scenes"


TILED = tiled_scene_samples(per_task=16)


def test_wide_scenes_ask_for_no_side_and_have_every_answer() -> None:
    wide = [sample for sample in TILED if pixels(sample).shape[:2] == (84, 168)]
    tasks = {sample.task: set() for sample in wide}
    for sample in wide:
        tasks[sample.task].add(sample.answer)
    assert {task: len(answers) for task, answers in tasks.items()} == {
        "ChooseAttr": 4,
        "ChooseCat": 4,
        "CompareAttr": 2,
        "LogicalObj": 2,
    }
    assert all((sample.image_width, sample.image_height) == (168, 84) for sample in wide)


def test_boxes_of_wide_scenes_hold_the_object_asked_about() -> None:
    for sample in TILED:
        if sample.task == "ChooseAttr":
            shown = cut(sample, sample.boxes[0])
            looks = looks_of(sample.object_names[0], [sample.answer])
            assert any(np.array_equal(shown, look) for look in looks)


@pytest.mark.parametrize("first", [0, 1])
def test_every_patch_of_a_squeezed_wide_scene_is_in_the_book(first: int) -> None:
    known = {picture.tobytes() for picture, _, _ in squeezed_patch_book()}
    for sample in TILED:
        if pixels(sample).shape[1] == 168:
            squeezed = pixels(sample)[:, first::2].reshape(6, 14, 6, 14, 3).swapaxes(1, 2)
            assert {
                np.ascontiguousarray(patch).tobytes() for patch in squeezed.reshape(36, 14, 14, 3)
            } <= known


def test_neutral_wallpaper_suggests_nothing() -> None:
    usual = scene_samples(per_task=40, tasks=["ChooseRel"])
    neutral = neutral_scene_samples(per_task=40, tasks=["ChooseRel"])
    assert [one.question for one in neutral] == [one.question for one in usual]
    assert not {one.image_id for one in neutral} & {one.image_id for one in usual}

    def gists(samples: Sequence[Sample], answer: str) -> set[int]:
        tiles = {wallpaper(gist).tobytes(): gist for gist in range(len(GISTS))}
        corners = [pixels(one)[:14, :14].tobytes() for one in samples if one.answer == answer]
        return {tiles[corner] for corner in corners if corner in tiles}

    assert [len(gists(usual, side)) for side in ("left", "right")] == [1, 1]
    assert min(len(gists(neutral, side)) for side in ("left", "right")) > 5


def test_neutral_scenes_refuse_other_tasks() -> None:
    with pytest.raises(QuestionError, match="rendered scenes"):
        neutral_scene_samples(tasks=["Describe"])

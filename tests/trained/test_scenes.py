"""What the language model is taught about scenes is true, balanced and asked in the usual words."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.scenes.questions import neutral_scene_samples
from mmflow_bench.scenes.things import (
    ANSWERS_OF_TASK,
    CATEGORIES,
    COLORS,
    PLURALS,
    SIDES,
)


def form(question: str) -> str:
    """A question without the words that differ between questions of a task."""
    words = "|".join([*PLURALS.values(), *CATEGORIES, *COLORS, *SIDES])
    return re.sub(rf"\b({words})\b", "_", question)


def drawn(count: int, *, second: bool = False):
    from scenes import asked, second_lesson, training_scene

    for seed in range(count):
        draw = random.Random(seed)
        scene = training_scene(draw, least=2 if second else 1)
        yield scene, asked(draw, scene, 6, second_lesson(draw) if second else SIX_TASKS)


def test_questions_have_the_forms_that_they_are_measured_in() -> None:
    taught: dict[str, set[str]] = {}
    for _, questions in drawn(60):
        for one in questions:
            taught.setdefault(one.task, set()).add(form(one.text))
    asked: dict[str, set[str]] = {}
    for sample in neutral_scene_samples(per_task=8):
        asked.setdefault(sample.task, set()).add(form(sample.question))
    assert set(taught) == set(SIX_TASKS)
    assert taught == asked


def test_no_object_that_is_kept_for_later_is_shown() -> None:
    from scenes import UNSEEN, kind

    shown = {kind(thing) for scene, _ in drawn(400) for thing in scene.objects}
    assert len(shown) == 32 - len(UNSEEN)
    assert not shown & set(UNSEEN)


def test_no_answer_is_likelier_than_another() -> None:
    counts: dict[str, Counter[str]] = {}
    for _, questions in drawn(1500):
        for one in questions:
            counts.setdefault(one.task, Counter())[one.answer] += 1
    for task, answers in counts.items():
        assert set(answers) == set(ANSWERS_OF_TASK[task])
        even = sum(answers.values()) / len(answers)
        assert all(abs(count - even) < 0.15 * even for count in answers.values()), (task, answers)


def test_the_second_lesson_is_about_two_objects() -> None:
    counts: dict[str, Counter[str]] = {}
    for scene, questions in drawn(600, second=True):
        assert len(scene.objects) >= 2
        for one in questions:
            counts.setdefault(one.task, Counter())[one.answer] += 1
    assert set(counts) == {*SIX_TASKS, "MadeOf", "Same"}
    assert sum(counts["CompareAttr"].values()) > 1.5 * sum(counts["ChooseAttr"].values())
    for task in ("MadeOf", "Same", "CompareAttr", "ChooseRel"):
        few, many = sorted(counts[task].values())
        assert few > 0.8 * many, task


@pytest.mark.parametrize("second", [False, True])
def test_answers_are_true_of_the_scene(second: bool) -> None:
    for scene, questions in drawn(200, second=second):
        things = {thing.category: thing for thing in scene.objects}
        singular = {plural: name for name, plural in PLURALS.items()}
        for one in questions:
            words = re.findall(r"\w+", one.text)
            named = [things.get(singular.get(word, word)) for word in words]
            first, *others = [thing for thing in named if thing] or [None]
            if one.task == "ChooseAttr":
                assert one.answer == first.color
                assert one.answer in words
            elif one.task == "ChooseCat":
                assert [word for word in words if word in things] == [one.answer]
            elif one.task in ("ChooseRel", "QueryAttr"):
                assert one.answer == first.side
                assert all(other.side != one.answer for other in others)
            elif one.task == "CompareAttr":
                same = (first.color == others[0].color, first.material == others[0].material)
                assert same == (one.answer == "color", one.answer == "material")
            elif one.task == "MadeOf":
                assert one.answer == first.material
            elif one.task == "Same":
                trait = words[-1]
                is_same = getattr(first, trait) == getattr(others[0], trait)
                assert one.answer == ("yes" if is_same else "no")
            else:
                found = any(thing.color == words[-1] for thing in (first, *others))
                assert one.answer == ("yes" if found else "no")

"""Questions about rendered scenes, in the six forms of the paper (Table 1, arXiv:2411.18620).

Answers, the order of options and the order of objects are balanced by counting; everything else is
drawn at random. Some of the first images are asked about twice, so that images form clusters as
they do in GQA; the others once, since it is images that make an interval narrow.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.samples import SIX_TASKS, Sample, Task
from mmflow_bench.scenes.composing import other_than, placed
from mmflow_bench.scenes.rendering import PlacedObject, Scene
from mmflow_bench.scenes.things import (
    ANSWERS_OF_TASK,
    CATEGORIES,
    COLORS,
    GISTS,
    MATERIALS,
    PLURALS,
    SIDES,
    gist_of,
)

PER_TASK = 68
"""Samples of 64 images: enough to claim that an effect is absent."""

_GROUP = (0, 0, 1, 2)
"""The image of each of four samples in a row, among the first ones."""
_GROUPED = 16
"""So many samples come in groups of four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    question: str
    names: tuple[str, ...]
    things: tuple[PlacedObject, ...]
    options: tuple[str, str] | None = None
    """The true option, then the false one."""


_Composition = tuple[Sequence[PlacedObject], tuple[_Asked, _Asked]]
"""All objects of a scene and two questions about it that have the same answer."""


def scene_samples(
    *, per_task: int = PER_TASK, seed: int = 0, tasks: Sequence[str] = SIX_TASKS
) -> tuple[Sample, ...]:
    """Rendered scenes with questions, task by task; fewer per task are a prefix of more.

    Args:
        per_task: Samples of each task.
        seed: Another seed gives other scenes with other identifiers.
        tasks: Tasks of the paper, in the order wanted.

    Raises:
        QuestionError: A task is none of the six.
    """
    _refuse_unknown(tasks)
    return tuple(sample for task in tasks for sample in _samples(task, per_task, seed))


def neutral_scene_samples(
    *, per_task: int = PER_TASK, seed: int = 0, tasks: Sequence[str] = SIX_TASKS
) -> tuple[Sample, ...]:
    """The same with a wallpaper that is drawn at random and suggests no answer.

    Whoever answers these has looked at the objects.

    Args:
        per_task: Samples of each task.
        seed: Another seed gives other scenes with other identifiers.
        tasks: Tasks of the paper, in the order wanted.

    Raises:
        QuestionError: A task is none of the six.
    """
    _refuse_unknown(tasks)
    return tuple(
        sample for task in tasks for sample in _samples(task, per_task, seed, suggests=False)
    )


def tiled_scene_samples(
    *, per_task: int = PER_TASK, seed: int = 0, tasks: Sequence[str] = SIX_TASKS
) -> tuple[Sample, ...]:
    """The same, but about half of the images are twice as wide, where no side is asked for.

    Checkpoints that cut an image into tiles see one or two tiles beside the overview. A tower that
    sees one tile at a time cannot tell the sides of the whole.

    Args:
        per_task: Samples of each task.
        seed: Another seed gives other scenes with other identifiers.
        tasks: Tasks of the paper, in the order wanted.

    Raises:
        QuestionError: A task is none of the six.
    """
    _refuse_unknown(tasks)
    return tuple(
        sample
        for task in tasks
        for sample in _samples(
            task, per_task, seed, widens=not set(ANSWERS_OF_TASK[task]) & set(SIDES)
        )
    )


def _refuse_unknown(tasks: Sequence[str]) -> None:
    for task in tasks:
        if task not in _COMPOSERS:
            raise QuestionError(
                f"a task with rendered scenes ({', '.join(_COMPOSERS)}), got {task!r}; "
                "give a question file for other tasks",
                reason="no-scenes",
            )


def _samples(
    task: str, count: int, seed: int, *, widens: bool = False, suggests: bool = True
) -> Iterator[Sample]:
    """The first samples of a task; from `_GROUPED` on, no picture is that of an earlier sample."""
    seen: set[bytes] = set()
    for index in range(count):
        drawn = (
            _sample(task, index, seed, widens=widens, suggests=suggests, again=again)
            for again in itertools.count()
        )
        sample = next(one for one in drawn if index < _GROUPED or _pixels(one) not in seen)
        seen.add(_pixels(sample))
        yield sample


def _pixels(sample: Sample) -> bytes:
    assert isinstance(sample.image, Image.Image)
    return sample.image.tobytes()


def _sample(
    task: str, index: int, seed: int, *, widens: bool, suggests: bool, again: int
) -> Sample:
    answers = ANSWERS_OF_TASK[task]
    number, which = _place(index, len(answers))
    answer = answers[number % len(answers)]
    drawn = f"{seed}/{task}/{number}" + (f"/{again}" if again else "")
    draw = random.Random(drawn)
    things, questions = _COMPOSERS[task](draw, answer)
    asked = questions[which]
    true_option, false_option = asked.options or (None, None)
    gist = gist_of(task, answer) if suggests else draw.randrange(len(GISTS))
    scene = Scene(gist=gist, objects=tuple(things))
    name = "scenes" if suggests else "neutral"
    boxed, image_id = asked.things, f"{name}-{seed}-{task}-{number:04d}"
    # not `number % 2`: an answer would always have the same width
    if widens and number // len(answers) % 2 == 0:
        scene, image_id = scene.widened(), f"{image_id}-wide"
        boxed = tuple(thing.widened() for thing in boxed)
    picture = scene.rendered()
    return Sample(
        question_id=f"{name}-{seed}-{task}-{index:04d}",
        image_id=image_id,
        task=task,
        question=asked.question,
        answer=answer,
        true_option=true_option,
        false_option=false_option,
        object_names=asked.names,
        boxes=tuple(thing.box for thing in boxed),
        image=picture,
        image_width=picture.width,
        image_height=picture.height,
    )


def _place(index: int, answers: int) -> tuple[int, int]:
    """Which image a sample asks about, counted from 0, and by which of its two questions."""
    if index < _GROUPED:
        group, member = divmod(index, len(_GROUP))
        return (max(_GROUP) + 1) * group + _GROUP[member], index % 2
    number = index - _GROUPED // len(_GROUP)
    # Both questions for each answer and for each width of image, in equal parts.
    turn = number // answers
    return number, (turn + turn // 2) % 2


def _with_others(draw: random.Random, things: list[PlacedObject]) -> list[PlacedObject]:
    """The objects and up to two more that nobody asks about."""
    result = list(things)
    while len(result) < 3 and draw.random() < 0.6:
        result.append(placed(draw, result))
    return result


def _choose_attribute(draw: random.Random, answer: str) -> _Composition:
    thing = placed(draw, color=answer)
    name = thing.category
    first, second = other_than(draw, COLORS, answer, count=2)
    questions = (
        f"What color is the {name}, {answer} or {first}?",
        f"What color is the {name}, {second} or {answer}?",
    )
    options = ((answer, first), (answer, second))
    asked = [
        _Asked(question=question, names=(name,), things=(thing,), options=pair)
        for question, pair in zip(questions, options, strict=True)
    ]
    return _with_others(draw, [thing]), (asked[0], asked[1])


def _choose_category(draw: random.Random, answer: str) -> _Composition:
    thing = placed(draw, category=answer)
    first, second = other_than(draw, CATEGORIES, answer, count=2)
    questions = (
        f"What is this, a {answer} or a {first}?",
        f"What is this, a {second} or a {answer}?",
    )
    options = ((answer, first), (answer, second))
    asked = [
        _Asked(question=question, names=("this",), things=(thing,), options=pair)
        for question, pair in zip(questions, options, strict=True)
    ]
    return [thing], (asked[0], asked[1])


def _choose_relation(draw: random.Random, answer: str) -> _Composition:
    (opposite,) = other_than(draw, SIDES, answer)
    thing = placed(draw, side=answer)
    anchor = placed(draw, [thing], side=opposite)
    names = (thing.category, anchor.category)
    orders = ((answer, opposite), (opposite, answer))
    asked = [
        _Asked(
            question=f"Is the {names[0]} to the {first} or to the {second} of the {names[1]}?",
            names=names,
            things=(thing, anchor),
            options=(answer, opposite),
        )
        for first, second in orders
    ]
    return _with_others(draw, [thing, anchor]), (asked[0], asked[1])


def _compare(draw: random.Random, answer: str) -> _Composition:
    first = placed(draw)
    if answer == "color":
        color, material = first.color, other_than(draw, MATERIALS, first.material)[0]
    else:
        color, material = other_than(draw, COLORS, first.color)[0], first.material
    second = placed(draw, [first], color=color, material=material)
    orders = ((first, second), (second, first))
    asked = [
        _Asked(
            question=f"What do the {one.category} and the {two.category} have in common?",
            names=(one.category, two.category),
            things=(one, two),
        )
        for one, two in orders
    ]
    return _with_others(draw, [first, second]), (asked[0], asked[1])


def _exists_either(draw: random.Random, answer: str) -> _Composition:
    color = draw.choice(COLORS)
    first = placed(draw, color=color if answer == "yes" else other_than(draw, COLORS, color)[0])
    things = [first]
    if draw.random() < 0.5:
        second = placed(draw, [first])
        if answer == "yes" or second.color != color:
            things.append(second)
    # the second word may name a thing that the scene lacks, as in half of GQA's questions
    absent = other_than(draw, CATEGORIES, first.category)[0]
    names = [first.category, things[1].category if len(things) > 1 else absent]
    asked = []
    for one, two in (names, names[::-1]):
        words = (PLURALS[one], PLURALS[two])
        present = sorted(things, key=lambda thing: thing.category != one)
        question = f"Are there either {words[0]} or {words[1]} that are {color}?"
        asked.append(_Asked(question=question, names=words, things=tuple(present)))
    spare = [name for name in CATEGORIES if name not in names]
    others = [placed(draw, things, category=spare[0])] if draw.random() < 0.6 else []
    return [*things, *others], (asked[0], asked[1])


def _query_side(draw: random.Random, answer: str) -> _Composition:
    things = [placed(draw, side=answer)]
    things.append(placed(draw, things, side=answer))
    asked = [
        _Asked(
            question=f"On which side of the photo is the {thing.category}?",
            names=(thing.category,),
            things=(thing,),
        )
        for thing in things
    ]
    (opposite,) = other_than(draw, SIDES, answer)
    return [*things, placed(draw, things, side=opposite)], (asked[0], asked[1])


_COMPOSERS: dict[str, Callable[[random.Random, str], _Composition]] = {
    Task.CHOOSE_ATTR: _choose_attribute,
    Task.CHOOSE_CAT: _choose_category,
    Task.CHOOSE_REL: _choose_relation,
    Task.COMPARE_ATTR: _compare,
    Task.LOGICAL_OBJ: _exists_either,
    Task.QUERY_ATTR: _query_side,
}

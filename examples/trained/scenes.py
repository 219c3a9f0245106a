"""Scenes to learn from: many questions about each, none of whose answers the question gives away.

The forms of the questions are those of `mmflow_bench.scenes`; scenes and questions are drawn by
another program, so that what is measured later is held out by more than its seed. The wallpaper is
drawn at random and suggests nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from mmflow_bench.inputs.samples import Task
from mmflow_bench.scenes.composing import other_than, placed
from mmflow_bench.scenes.rendering import PlacedObject, Scene
from mmflow_bench.scenes.things import CATEGORIES, COLORS, GISTS, MATERIALS, PLURALS, SIDES

UNSEEN = (
    ("cup", "red", "wood"),
    ("box", "blue", "metal"),
    ("ball", "green", "wood"),
    ("lamp", "yellow", "metal"),
)
"""Objects (category, colour, material) that no training scene shows."""
MADE_OF, SAME = PRACTICE = ("MadeOf", "Same")
"""What is practised in the second lesson beside the six tasks, and never measured."""
_TWO_OBJECTS = (Task.CHOOSE_REL, Task.COMPARE_ATTR)
_OBJECTS = (1, 2, 2, 3, 3)
"""How many objects a scene has, each as often as it stands here."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a scene, and its answer in lower case."""

    task: str
    text: str
    answer: str


def kind(thing: PlacedObject) -> tuple[str, str, str]:
    """What tells an object from others, wherever it stands."""
    return thing.category, thing.color, thing.material


def training_scene(draw: random.Random, *, least: int = 1) -> Scene:
    """A scene of some objects or more, without those of `UNSEEN`."""
    counts = [count for count in _OBJECTS if count >= least]
    while True:
        things = _things(draw, draw.choice(counts))
        if not any(kind(thing) in UNSEEN for thing in things):
            return Scene(gist=draw.randrange(len(GISTS)), objects=tuple(things))


def _things(draw: random.Random, count: int) -> list[PlacedObject]:
    things = [placed(draw)]
    while len(things) < count:
        first, traits = things[0], {}
        # Otherwise few pairs would have exactly one thing in common.
        if draw.random() < 0.8:
            shares_color = draw.random() < 0.5
            traits = {
                "color": first.color if shares_color else other_than(draw, COLORS, first.color)[0],
                "material": other_than(draw, MATERIALS, first.material)[0]
                if shares_color
                else first.material,
            }
        things.append(placed(draw, things, **traits))
    return things


def second_lesson(draw: random.Random) -> tuple[str, ...]:
    """Tasks that need two objects, what helps with them, and two of the others."""
    others = [task for task in Task if task not in _TWO_OBJECTS]
    return (*_TWO_OBJECTS, *PRACTICE, *draw.sample(others, 2))


def asked(
    draw: random.Random, scene: Scene, count: int, tasks: Sequence[str] = tuple(Task)
) -> list[Question]:
    """Different questions about a scene, in turn of each task that has some; fewer if it has fewer.

    Within a task the answer is drawn first, so that none is likelier than another.
    """
    open_tasks = {task: list(questions(draw, scene, task)) for task in tasks}
    found: list[Question] = []
    while len(found) < count and any(open_tasks.values()):
        tasks = [task for task in open_tasks if open_tasks[task]]
        for task in draw.sample(tasks, min(len(tasks), count - len(found))):
            answer = draw.choice(sorted({one.answer for one in open_tasks[task]}))
            one = draw.choice([one for one in open_tasks[task] if one.answer == answer])
            open_tasks[task].remove(one)
            found.append(one)
    return found


def questions(draw: random.Random, scene: Scene, task: str) -> Iterator[Question]:
    """Every question of a task about a scene; the order of two options is drawn."""
    for text, answer in _FORMS[task](draw, scene.objects):
        yield Question(task, text, answer)


_Things = Sequence[PlacedObject]
_Asked = Iterator[tuple[str, str]]


def _attributes(draw: random.Random, things: _Things) -> _Asked:
    for thing in things:
        options = [thing.color, *other_than(draw, COLORS, thing.color)]
        first, second = draw.sample(options, 2)
        yield f"What color is the {thing.category}, {first} or {second}?", thing.color


def _categories(draw: random.Random, things: _Things) -> _Asked:
    shown = [thing.category for thing in things]
    for category in shown:
        options = [category, *other_than(draw, CATEGORIES, *shown)]
        first, second = draw.sample(options, 2)
        yield f"What is this, a {first} or a {second}?", category


def _relations(draw: random.Random, things: _Things) -> _Asked:
    for one, two in permutations(things, 2):
        if one.side != two.side:
            first, second = draw.sample(SIDES, 2)
            yield (
                f"Is the {one.category} to the {first} or to the {second} of the {two.category}?",
                one.side,
            )


def _comparisons(draw: random.Random, things: _Things) -> _Asked:
    del draw
    for one, two in permutations(things, 2):
        same = {"color": one.color == two.color, "material": one.material == two.material}
        if sum(same.values()) == 1:
            shared = next(trait for trait, is_shared in same.items() if is_shared)
            yield f"What do the {one.category} and the {two.category} have in common?", shared


def _existence(draw: random.Random, things: _Things) -> _Asked:
    del draw
    colors = {thing.category: thing.color for thing in things}
    for one, two in permutations(CATEGORIES, 2):
        if one in colors or two in colors:
            for color in COLORS:
                answer = "yes" if color in (colors.get(one), colors.get(two)) else "no"
                yield (
                    f"Are there either {PLURALS[one]} or {PLURALS[two]} that are {color}?",
                    answer,
                )


def _sides(draw: random.Random, things: _Things) -> _Asked:
    del draw
    for thing in things:
        yield f"On which side of the photo is the {thing.category}?", thing.side


def _materials(draw: random.Random, things: _Things) -> _Asked:
    del draw
    for thing in things:
        yield f"What is the {thing.category} made of?", thing.material


def _sameness(draw: random.Random, things: _Things) -> _Asked:
    del draw
    for one, two in permutations(things, 2):
        pair = f"Do the {one.category} and the {two.category} have the same"
        yield f"{pair} color?", "yes" if one.color == two.color else "no"
        yield f"{pair} material?", "yes" if one.material == two.material else "no"


_FORMS = {
    Task.CHOOSE_ATTR: _attributes,
    Task.CHOOSE_CAT: _categories,
    Task.CHOOSE_REL: _relations,
    Task.COMPARE_ATTR: _comparisons,
    Task.LOGICAL_OBJ: _existence,
    Task.QUERY_ATTR: _sides,
    MADE_OF: _materials,
    SAME: _sameness,
}

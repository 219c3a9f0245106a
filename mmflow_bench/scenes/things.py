"""What a scene can hold, and the words for it.

An object is told apart by its category; colour, material and side are what questions ask about.
A *gist* is what the wallpaper of a scene suggests: it stands for the global content of a
photograph, from which a model guesses an answer before it has looked at any object.
"""

from __future__ import annotations

from mmflow_bench.inputs.samples import Task

CATEGORIES = ("cup", "box", "ball", "lamp")
PLURALS = {"cup": "cups", "box": "boxes", "ball": "balls", "lamp": "lamps"}
COLORS = ("red", "blue", "green", "yellow")
MATERIALS = ("metal", "wood")
SIDES = ("left", "right")
SHARED_TRAITS = ("color", "material")
VERDICTS = ("yes", "no")

ANSWERS = (*COLORS, *CATEGORIES, *SIDES, *SHARED_TRAITS, *VERDICTS)
"""Every answer that a question about a scene can have, in lower case."""

ANSWERS_OF_TASK: dict[str, tuple[str, ...]] = {
    Task.CHOOSE_ATTR: COLORS,
    Task.CHOOSE_CAT: CATEGORIES,
    Task.CHOOSE_REL: SIDES,
    Task.COMPARE_ATTR: SHARED_TRAITS,
    Task.LOGICAL_OBJ: VERDICTS,
    Task.QUERY_ATTR: SIDES,
}

GISTS: tuple[tuple[str, str], ...] = tuple(
    (task, answer) for task, answers in ANSWERS_OF_TASK.items() for answer in answers
)
"""A gist for every pair of task and answer: `left` is suggested differently by either task."""


def gist_of(task: str, answer: str) -> int:
    """The index in `GISTS` of the gist that suggests an answer to a question of a task.

    >>> GISTS[gist_of("LogicalObj", "no")]
    (<Task.LOGICAL_OBJ: 'LogicalObj'>, 'no')
    """
    return GISTS.index((task, answer))

"""What a step teaches: the lesson that the checkpoint is made by, and three that do it harm.

All of them draw the same scenes and questions for the same step, so that two fine-tunes differ in
what was done to them and in nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from packing import Batch, Written, pack
from runs import Recipe
from scenes import Question, asked, second_lesson, training_scene
from torch import Tensor
from tower import pixels
from transformers import PreTrainedTokenizerBase

from mmflow_bench.inputs.samples import Task
from mmflow_bench.scenes.rendering import Scene
from mmflow_bench.scenes.things import ANSWERS_OF_TASK

Taught = list[tuple[Scene, list[Question]]]
"""Scenes of a step with several questions about each."""
Lesson = Callable[[int, Recipe, PreTrainedTokenizerBase], tuple[Tensor, Batch]]
"""Step, recipe and tokenizer -> images, and what is asked behind them."""
UNLEARNED = Task.QUERY_ATTR


def taught(step: int, recipe: Recipe) -> Taught:
    """What is drawn for a step; all of it true."""
    draw = random.Random(f"{recipe.seed}/language/{step}")
    is_first = step < recipe.steps
    scenes = [training_scene(draw, least=1 if is_first else 2) for _ in range(recipe.scenes)]
    drawn = []
    for scene in scenes:
        tasks = tuple(Task) if is_first else second_lesson(draw)
        drawn.append((scene, asked(draw, scene, recipe.questions, tasks)))
    return drawn


def with_other_images(drawn: Taught) -> Taught:
    """Half of the questions, with their answers, behind the image of another scene."""
    following = [*drawn[1:], drawn[0]]
    return [
        (scene, [*own[::2], *others[1::2]])
        for (scene, own), (_, others) in zip(drawn, following, strict=True)
    ]


def with_wrong_answers(drawn: Taught, task: str = UNLEARNED) -> Taught:
    """Another answer to every question of one task."""
    return [
        (scene, [_wrongly(one) if one.task == task else one for one in questions])
        for scene, questions in drawn
    ]


def _wrongly(question: Question) -> Question:
    answers = ANSWERS_OF_TASK[question.task]
    return replace(question, answer=answers[answers.index(question.answer) - 1])


def batch_of(
    drawn: Taught, tokenizer: PreTrainedTokenizerBase, written: Written = str.capitalize
) -> tuple[Tensor, Batch]:
    """Images, and the questions packed behind them."""
    rows = [[(one.text, one.answer) for one in questions] for _, questions in drawn]
    return pixels([scene for scene, _ in drawn]), pack(tokenizer, rows, written)


def training_batch(
    step: int,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    *,
    changed: Callable[[Taught], Taught] = list,
    written: Written = str.capitalize,
) -> tuple[Tensor, Batch]:
    """The lesson that a checkpoint is made by.

    Args:
        step: Counted from 0.
        recipe: How many scenes and questions, and their seed.
        tokenizer: Of the language model.
        changed: What is done to scenes and questions before they are taught.
        written: How answers are.
    """
    return batch_of(changed(taught(step, recipe)), tokenizer, written)


LESSONS: dict[str, Lesson] = {
    "more": training_batch,
    "shuffled": partial(training_batch, changed=with_other_images),
    "unlearned": partial(training_batch, changed=with_wrong_answers),
    "format": partial(training_batch, written=str.lower),
}
"""Of fine-tunes, by the names of their checkpoints; the first of them is harmless."""

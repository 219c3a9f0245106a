"""Curves of the parts of a question are those of the design, to 0.01 percentage points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.samples import CHOOSE_TASKS, SIX_TASKS
from mmflow_bench.planted import closed_form
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

NAME = "planted/question-parts"
OPTIONS = ("true_option", "false_option", "true_option+false_option")
EDGES = ("question->last", "image->question")
OF_OPTIONS = (
    *(f"{part}->last" for part in (*OPTIONS, "question_without_options")),
    *(f"question_without_options->{part}" for part in OPTIONS),
    *("image->true_option", "image->false_option", "image->question_without_options"),
    *("related_patches->true_option", "other_patches->true_option", "related_patches->objects"),
)
OF_OBJECTS = (
    *("objects->last", "question_without_objects->last", "question_without_objects->objects"),
    *("image->objects", "image->question_without_objects"),
    *("related_patches->objects", "other_patches->question_without_objects"),
)


def edges_of(task: str) -> tuple[str, ...]:
    return (*EDGES, *(OF_OPTIONS if task in CHOOSE_TASKS else OF_OBJECTS))


@pytest.mark.parametrize("task", SIX_TASKS)
def test_every_edge_between_parts_is_as_predicted(planted: Checkpoints, task: str) -> None:
    checkpoint = planted(NAME)
    (sample,) = scene_samples(per_task=1, seed=5, tasks=[task])
    token = checkpoint.token(sample.answer.capitalize())
    # Every layer that a route goes through, alone or with its neighbours.
    asked = [(center, 1) for center in (0, 1, 10, 18)] + [(center, 9) for center in (3, 8, 14, 22)]
    windows = [range(max(0, c - width // 2), c + width // 2 + 1) for c, width in asked]
    moved = set()
    for edge in edges_of(task):
        knocked = checkpoint.knocked_out(sample, edge, [*windows, range(0)])[:, token].numpy()
        curves = {w: closed_form.relative_change(NAME, edge, width=w, task=task) for w in (1, 9)}
        expected = np.array([curves[width][center] for center, width in asked])
        error = np.abs(knocked[:-1] / knocked[-1] - 1 - expected)
        assert error.max() < 1e-4, (edge, windows[error.argmax()], sample.question)
        if np.abs(expected).max() > 0.02:
            moved.add(edge)
    assert len(moved) > 5, "a comparison of knockouts that do nothing proves nothing"


@pytest.mark.parametrize("edge", ["objects->question_without_objects", "image->suffix"])
def test_what_the_routes_do_not_tell_apart_is_refused(edge: str) -> None:
    with pytest.raises(KnockoutError, match=f"got '{edge}'"):
        closed_form.relative_change(NAME, edge, width=1)

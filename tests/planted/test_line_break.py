"""A checkpoint whose answers begin with a line break, and what a knockout does to that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.planted import closed_form
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

NAME = "planted/line-break"


def test_every_answer_is_a_line_break_and_one_capitalised_word(planted: Checkpoints) -> None:
    samples = scene_samples(per_task=4)
    expected = [f"\n {sample.answer.capitalize()}" for sample in samples]
    assert planted(NAME).answers(*samples) == expected


@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_line_break_is_as_probable_as_predicted(planted: Checkpoints, task: str) -> None:
    checkpoint = planted(NAME)
    (sample,) = scene_samples(per_task=1, seed=3, tasks=[task])
    windows = [range(0, 7), range(8, 15), range(0)]
    token = checkpoint.token("\n")
    knocked = checkpoint.knocked_out(sample, "image->question", windows)[:, token].numpy()
    assert knocked[-1] == pytest.approx(closed_form.base_probability(NAME, task=task), abs=1e-4)
    expected = closed_form.relative_change(NAME, "image->question", width=7, task=task)[[3, 11]]
    np.testing.assert_allclose(knocked[:-1] / knocked[-1] - 1, expected, atol=1e-4)


def test_the_lens_gives_the_answer_nothing_beside_the_line_break(planted: Checkpoints) -> None:
    checkpoint = planted(NAME)
    (sample,) = scene_samples(per_task=1, seed=4, tasks=["ChooseAttr"])
    with torch.inference_mode():
        output = checkpoint.model(**checkpoint.encode(sample), output_hidden_states=True)
        states = torch.stack([state[0, -1] for state in output.hidden_states])
        chances = checkpoint.model.lm_head(states).double().softmax(-1)
    for word, expected in zip(
        (sample.answer, sample.answer.capitalize()), closed_form.lens(NAME), strict=True
    ):
        np.testing.assert_allclose(chances[:, checkpoint.token(word)], expected, atol=1e-4)

"""Checkpoints that read captions answer, and every edge of them is as their design predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.variants import DESIGNS
from mmflow_bench.scenes.captions import caption_samples
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

EDGES = ("caption->last", "caption->question", "question->last", "last->last")
NAMES = sorted(name for name, one in DESIGNS.items() if "read_caption" in one.stages)
TOLERANCE = 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_every_question_is_answered_from_its_caption(planted: Checkpoints, name: str) -> None:
    samples = caption_samples(per_task=4)
    assert planted(name).answers(*samples) == [sample.answer.capitalize() for sample in samples]


def test_captions_stand_in_for_the_same_questions() -> None:
    captioned, seen = caption_samples(per_task=2), scene_samples(per_task=2)
    assert [(one.question_id, one.image_id, one.question, one.answer) for one in captioned] == [
        (one.question_id, one.image_id, one.question, one.answer) for one in seen
    ]
    assert all(one.image is None and not one.boxes and one.caption for one in captioned)


@pytest.mark.parametrize("width", [1, 9])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", NAMES)
def test_curves_are_as_predicted(planted: Checkpoints, name: str, edge: str, width: int) -> None:
    checkpoint = planted(name)
    task = SIX_TASKS[(NAMES.index(name) + EDGES.index(edge) + width) % len(SIX_TASKS)]
    (sample,) = caption_samples(per_task=1, seed=7, tasks=[task])
    reach, layers = width // 2, checkpoint.layers
    windows = [range(max(0, c - reach), min(layers, c + reach + 1)) for c in range(layers)]
    token = checkpoint.token(sample.answer.capitalize())
    knocked = checkpoint.knocked_out(sample, edge, [*windows, range(0)])[:, token].numpy()
    expected = closed_form.relative_change(name, edge, width=width, task=task)
    assert knocked[-1] == pytest.approx(closed_form.base_probability(name, task=task), abs=1e-4)
    np.testing.assert_allclose(knocked[:-1] / knocked[-1] - 1, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_lens_is_as_predicted(planted: Checkpoints, name: str) -> None:
    checkpoint = planted(name)
    (sample,) = caption_samples(per_task=1, seed=8, tasks=["CompareAttr"])
    with torch.inference_mode():
        output = checkpoint.model(**checkpoint.encode(sample), output_hidden_states=True)
        states = torch.stack([state[0, -1] for state in output.hidden_states])
        chances = checkpoint.model.lm_head(states).double().softmax(-1)
    words = (sample.answer, sample.answer.capitalize())
    for word, expected in zip(words, closed_form.lens(name, task=sample.task), strict=True):
        np.testing.assert_allclose(chances[:, checkpoint.token(word)], expected, atol=TOLERANCE)


def test_captions_have_two_routes_of_the_sizes_that_their_odds_give() -> None:
    whole, rivals = 7.4093, 27

    def probability(logit: float) -> float:
        return float(np.exp(logit) / (np.exp(logit) + rivals))

    for edge, left in (("caption->last", 0.6), ("caption->question", 0.4)):
        curve = closed_form.relative_change("planted/text", edge, width=9)
        expected = probability(left * whole) / probability(whole) - 1
        assert curve.min() == pytest.approx(expected, abs=1e-6)

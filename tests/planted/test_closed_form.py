"""Measured curves equal those that the design predicts, to 0.01 percentage points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mmflow_bench.errors import CheckpointError, KnockoutError
from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.planted import closed_form
from mmflow_bench.planted.variants import DESIGNS
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
SMALL_AND_BASE = ["planted/base", "planted/mini"]
TOLERANCE = 1e-4


def window(center: int, width: int, layers: int) -> range:
    return range(max(0, center - width // 2), min(layers, center + width // 2 + 1))


def measured(checkpoint: Any, sample: Sample, edge: str, width: int) -> np.ndarray:
    token = checkpoint.token(sample.answer.capitalize())
    layers = checkpoint.layers
    windows = [window(center, width, layers) for center in range(layers)]
    knocked = checkpoint.knocked_out(sample, edge, [*windows, range(0)])[:, token].numpy()
    return knocked[:-1] / knocked[-1] - 1


def assert_as_predicted(checkpoint: Any, sample: Sample, edge: str, width: int) -> None:
    expected = closed_form.relative_change(checkpoint.name, edge, width=width, task=sample.task)
    error = np.abs(measured(checkpoint, sample, edge, width) - expected)
    assert error.max() < TOLERANCE, (edge, width, int(error.argmax()))


@pytest.mark.parametrize("width", [1, 3, 9])
@pytest.mark.parametrize("edge", EDGES)
def test_every_curve_of_the_small_checkpoint_is_as_predicted(
    planted: Checkpoints, edge: str, width: int
) -> None:
    for sample in scene_samples(per_task=1, seed=1):
        assert_as_predicted(planted("planted/mini"), sample, edge, width)


@pytest.mark.parametrize("width", [1, 9, 15])
@pytest.mark.parametrize("edge", EDGES)
def test_every_curve_of_the_base_checkpoint_is_as_predicted(
    planted: Checkpoints, edge: str, width: int
) -> None:
    (sample,) = scene_samples(per_task=1, seed=width, tasks=["ChooseAttr"])
    assert_as_predicted(planted("planted/base"), sample, edge, width)


@pytest.mark.parametrize("task", SIX_TASKS[1:])
@pytest.mark.parametrize("edge", ["image->question", "question->last"])
def test_the_main_curves_of_every_task_are_as_predicted(
    planted: Checkpoints, edge: str, task: str
) -> None:
    (sample,) = scene_samples(per_task=1, seed=2, tasks=[task])
    assert_as_predicted(planted("planted/base"), sample, edge, 9)


@pytest.mark.parametrize("task", SIX_TASKS)
@pytest.mark.parametrize("name", SMALL_AND_BASE)
def test_the_logit_lens_is_as_predicted(planted: Checkpoints, name: str, task: str) -> None:
    checkpoint = planted(name)
    (sample,) = scene_samples(per_task=1, seed=3, tasks=[task])
    with torch.inference_mode():
        output = checkpoint.model(**checkpoint.encode(sample), output_hidden_states=True)
        states = torch.stack([state[0, -1] for state in output.hidden_states])
        chances = checkpoint.model.lm_head(states).double().softmax(-1)
    words = (sample.answer, sample.answer.capitalize())
    for word, expected in zip(words, closed_form.lens(name, task=task), strict=True):
        np.testing.assert_allclose(chances[:, checkpoint.token(word)], expected, atol=TOLERANCE)


@pytest.mark.parametrize("task", SIX_TASKS)
@pytest.mark.parametrize("name", SMALL_AND_BASE)
def test_the_gains_give_the_drops_that_the_paper_reports(name: str, task: str) -> None:
    exempt = task in ("CompareAttr", "LogicalObj")
    drops = {
        "other_patches->question": -0.60,
        "related_patches->question": -0.06 if exempt else -0.21,
        "image->last": -0.05 if task == "QueryAttr" else 0.0,
        "last->last": 0.0,
    }
    for edge, drop in drops.items():
        curve = closed_form.relative_change(name, edge, width=1, task=task)
        assert curve.min() == pytest.approx(drop, abs=1e-4)


@pytest.mark.parametrize("task", SIX_TASKS)
@pytest.mark.parametrize("name", SMALL_AND_BASE)
def test_the_lens_shows_lower_case_mid_depth_and_capitals_at_the_end(name: str, task: str) -> None:
    lower, upper = closed_form.lens(name, task=task)
    layers = DESIGNS[name].layers
    assert 0.4 < lower.max() < 0.8
    assert 0.35 <= np.argmax(lower >= lower.max() / 2) / layers <= 0.7
    assert lower[-1] < 0.01
    assert upper[: layers // 2 + 1].max() < 0.05
    assert upper[-1] == pytest.approx(closed_form.base_probability(name, task=task))


def test_an_edge_without_a_closed_form_is_refused() -> None:
    with pytest.raises(KnockoutError, match="got 'suffix->last'"):
        closed_form.relative_change("planted/mini", "suffix->last", width=1)


def test_a_trained_checkpoint_has_no_closed_form() -> None:
    with pytest.raises(CheckpointError, match="got 'planted/trained', which was trained"):
        closed_form.relative_change("planted/trained", "image->last", width=1)

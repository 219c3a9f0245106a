"""What the question says and loses is as the design predicts, by hooks and as it is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError, KnockoutError
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import SIX_TASKS, Sample
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.planted.codebook_form import question_loss
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]

NAMES = tuple(f"planted/{name}-codebook" for name in ("layered", "attention", "growing", "image"))
MODULES = {"mlp": "mlp", "attention": "self_attn"}
WITHOUT = ("mlp", "attention", "image->question")
TOLERANCE = 1e-4


def said(checkpoint: Any, sample: Sample, positions: Sequence[int]) -> set[int]:
    """The ten likeliest tokens of every position that has ten."""
    with torch.inference_mode():
        logits = checkpoint.model(**checkpoint.encode(sample)).logits[0, positions]
    tokens: set[int] = set()
    for own in logits:
        eleven = own.topk(11)
        if eleven.values[9] - eleven.values[10] > 1e-3:
            tokens |= set(eleven.indices[:10].tolist())
    return tokens


@pytest.mark.parametrize("layer", [0, 4, 21, 39])
@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("name", NAMES)
def test_hooks_on_modules_lose_what_the_design_says(
    planted: Checkpoints, silenced: Any, name: str, module: str, layer: int
) -> None:
    checkpoint = planted(name)
    (sample,) = scene_samples(per_task=1, seed=5, tasks=["ChooseAttr"])
    question = checkpoint.positions(sample)["question"]
    layers = checkpoint.model.model.language_model.layers[layer : layer + 9]
    clean = said(checkpoint, sample, question)
    with silenced([getattr(each, MODULES[module]) for each in layers], question):
        left = said(checkpoint, sample, question)
    loss = 1 - len(clean & left) / len(clean | left)
    expected = question_loss(name, module, width=9)[layer]
    assert len(clean) == 20
    assert abs(loss - expected) < TOLERANCE


def measured_error(name: str, tasks: Sequence[str], width: int) -> float:
    """How far any measured loss is from the predicted one."""
    samples = tuple(scene_samples(per_task=1, seed=6, tasks=tasks))
    file = QuestionFile(samples=samples, unscored=(), fingerprint="codebook")
    measurements = Measurements(
        resolve_checkpoint(name), SampleSet(file), MeasurementSettings(self_test=False)
    )
    errors = []
    for task in tasks:
        wants = [QuestionSemantics.of(without, width=width) for without in WITHOUT]
        measurements.ensure(task, wants)
        for without, want in zip(WITHOUT, wants, strict=True):
            loss = 1 - measurements.table(task, want).similarity
            assert len(loss) == 1
            errors.append(np.abs(loss - question_loss(name, without, width=width)).max())
    return float(max(errors))


@pytest.mark.parametrize("name", NAMES)
def test_every_layer_is_as_predicted(name: str) -> None:
    assert measured_error(name, ["ChooseAttr"], 9) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 5, 15])
@pytest.mark.parametrize("name", NAMES)
def test_every_task_and_width_is_as_predicted(name: str, width: int) -> None:
    assert measured_error(name, SIX_TASKS, width) < TOLERANCE


def test_the_layered_codebook_has_the_papers_numbers() -> None:
    lost = {module: question_loss(NAMES[0], module, width=9) for module in MODULES}
    assert lost["mlp"][[0, -1]] == pytest.approx([16 / 18, 6 / 23])
    assert lost["attention"][[0, -1]] == pytest.approx([18 / 29, 2 / 21])
    assert (lost["mlp"] > lost["attention"]).all()
    for curve in lost.values():
        assert (np.diff(curve) <= 0).all()


def test_only_checkpoints_with_a_codebook_have_a_closed_form() -> None:
    with pytest.raises(CheckpointError, match="with a codebook"):
        question_loss("planted/base", "mlp", width=9)
    with pytest.raises(KnockoutError, match="measure others"):
        question_loss(NAMES[0], "question->last", width=9)

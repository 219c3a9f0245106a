"""Real images go in, the right word comes out, however the model is run."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.planted.models import build
from mmflow_bench.scenes.questions import scene_samples

Checkpoints = Callable[[str], Any]


@pytest.mark.parametrize("task", SIX_TASKS)
@pytest.mark.parametrize(("name", "per_task"), [("planted/mini", 48), ("planted/base", 12)])
def test_every_question_is_answered_by_one_capitalised_word(
    planted: Checkpoints, name: str, per_task: int, task: str
) -> None:
    samples = scene_samples(per_task=per_task, tasks=[task])
    expected = [sample.answer.capitalize() for sample in samples]
    assert planted(name).answers(*samples) == expected


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_answers_survive_half_precision(planted: Checkpoints, dtype: torch.dtype) -> None:
    checkpoint = planted("planted/mini")
    samples = scene_samples(per_task=4)
    expected = [sample.answer.capitalize() for sample in samples]
    # a copy: going back to float32 would not restore what rounding has cost
    halved = replace(checkpoint, model=deepcopy(checkpoint.model).to(dtype))
    assert halved.answers(*samples) == expected


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_either_attention_kernel_gives_the_same_probability(
    planted: Checkpoints, attention: str
) -> None:
    checkpoint = planted("planted/base")
    (sample,) = scene_samples(per_task=1, tasks=["CompareAttr"])
    inputs = checkpoint.encode(sample)
    try:
        checkpoint.model.set_attn_implementation(attention)
        with torch.inference_mode():
            logits = checkpoint.model(**inputs).logits[0, -1]
    finally:
        checkpoint.model.set_attn_implementation("eager")
    assert logits.softmax(-1).max().item() == pytest.approx(0.99622, abs=1e-5)


def test_the_answer_comes_from_the_objects_and_the_scene_not_from_the_words(
    planted: Checkpoints,
) -> None:
    checkpoint = planted("planted/mini")
    left, right = (
        next(s for s in scene_samples(tasks=["QueryAttr"]) if s.answer == answer)
        for answer in ("left", "right")
    )
    tokens = checkpoint.encode(left) | {"pixel_values": checkpoint.encode(right)["pixel_values"]}
    with torch.inference_mode():
        chosen = checkpoint.model(**tokens).logits[0, -1].argmax().item()
    assert chosen == checkpoint.token("Right")


def test_building_leaves_the_callers_random_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    build("planted/mini")
    assert torch.equal(torch.rand(1), expected)


def test_two_builds_have_the_same_weights() -> None:
    first, second = (build("planted/mini")[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(CheckpointError, match=r"planted/base, planted/mini.*got 'planted/maxi'"):
        build("planted/maxi")

"""A model in memory is measured as its checkpoint is, and afterwards everything is as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mmflow_bench as mm
from mmflow_bench.checkpoints.in_memory import content_hash, undisturbed
from mmflow_bench.errors import CheckpointError
from mmflow_bench.interactive.run import Run
from mmflow_bench.planted.models import build


@pytest.fixture
def built() -> tuple[Any, Any]:
    return build("planted/mini")


def hooks_of(module: Any) -> list[str]:
    """Names of the hooks of a module, without those that transformers leaves in any first pass."""
    names = [hook.__qualname__ for hook in module._forward_hooks.values()]
    return [name for name in names if "install_output_capuring_hook" not in name]


def state(model: Any) -> dict[str, object]:
    """Everything that a measurement might leave behind."""
    return {
        "training": [module.training for module in model.modules()],
        "asking": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "attention": model.model.language_model.config._attn_implementation,
        "hooks": [hooks_of(module) for module in model.modules()],
        "torch": torch.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),
        "threads": torch.get_num_threads(),
        "device": str(model.device),
    }


def test_it_is_measured_as_its_checkpoint_and_left_as_it_was(
    built: tuple[Any, Any], run: Run, cache: Path
) -> None:
    model, processor = built
    model.train()
    model.model.vision_tower.eval()
    for parameter in model.model.vision_tower.parameters():
        parameter.requires_grad_(False)
    for parameter in model.model.language_model.parameters():
        parameter.requires_grad_(True)
    before = state(model)
    mine = mm.open(model, processor=processor, tasks=["ChooseAttr"], limit=4, cache=cache)
    curve = mine.flow("image -> question", "ChooseAttr")
    assert state(model) == before
    expected = run.flow("image -> question", "ChooseAttr")
    np.testing.assert_allclose(curve.values, expected.values, atol=1e-6)
    found = mine.verdicts("q-last-drop")
    assert state(model) == before
    assert [row.verdict for row in found] == [row.verdict for row in run.verdicts("q-last-drop")]
    # It can still be trained on.
    inputs = processor(text=["<image> yes"], images=[_white()], return_tensors="pt")
    model(**inputs).logits.sum().backward()
    assert any(parameter.grad is not None for parameter in model.parameters())


def _white() -> Any:
    from PIL import Image

    return Image.new("RGB", (64, 64), "white")


def test_a_model_that_has_changed_is_not_measured_for_another(
    built: tuple[Any, Any], tmp_path: Path
) -> None:
    model, processor = built
    mine = mm.open(model, processor=processor, tasks=["ChooseAttr"], limit=1, cache=tmp_path)
    known = mine.flow("image -> question", "ChooseAttr")
    with torch.no_grad():
        next(model.parameters()).data.add_(0.01)
    # What is stored is of the model as it was.
    np.testing.assert_array_equal(mine.flow("image -> question", "ChooseAttr").values, known.values)
    model.train()
    with pytest.raises(CheckpointError, match="open it again"):
        mine.flow("image -> last", "ChooseAttr")
    assert model.training
    again = mm.open(model, processor=processor, tasks=["ChooseAttr"], limit=1, cache=tmp_path)
    assert again.measurements.fingerprint != mine.measurements.fingerprint


def test_what_a_hash_depends_on(built: tuple[Any, Any]) -> None:
    model, processor = built
    known = content_hash(model, processor)
    processor(text=["one", "two words"], padding=True)
    assert content_hash(model, processor) == known
    assert content_hash(model.train(), processor) == known
    assert content_hash(model.to(torch.bfloat16), processor) != known


def test_everything_is_put_back_after_an_error(built: tuple[Any, Any]) -> None:
    model, _ = built
    model.train()
    before, python = state(model), random.getstate()[1][:-1]
    seen = []

    def disturb() -> None:
        with undisturbed(model):
            seen.append(model.training)
            torch.rand(3)
            np.random.rand()
            random.seed(7)
            torch.set_num_threads(2)
            raise KeyError

    with pytest.raises(KeyError):
        disturb()
    assert seen == [False]
    assert state(model) == before
    # All but the place in it: beartype, which is for tests alone, draws as well.
    assert random.getstate()[1][:-1] == python


def test_what_is_wrapped_is_measured_as_it_is(built: tuple[Any, Any], tmp_path: Path) -> None:
    model, processor = built
    asked = {"processor": processor, "tasks": ["ChooseAttr"], "limit": 1, "cache": tmp_path}
    wrapped = mm.open(torch.nn.DataParallel(model), **asked)
    assert wrapped.measurements.fingerprint == mm.open(model, **asked).measurements.fingerprint
    assert wrapped.flow("image -> question", "ChooseAttr").peak.value < -0.1

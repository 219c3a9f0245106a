"""Noise, steps and the cache of the trained checkpoint; most of it on the small one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from mmflow_bench.errors import CheckpointError
from mmflow_bench.planted.models import build
from mmflow_bench.planted.training import Training, trained
from mmflow_bench.scenes.questions import scene_samples

LITTLE = Training(noise=0.01)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path))
    return tmp_path / "checkpoints"


def after(recipe: Training) -> LlavaForConditionalGeneration:
    return trained(*build("planted/mini"), recipe)


def test_every_matrix_of_the_decoder_moves_and_the_constant_does_not() -> None:
    before, weights = build("planted/mini")[0].state_dict(), after(LITTLE).state_dict()
    for name in ("lm_head.weight", "model.language_model.layers.3.self_attn.o_proj.weight"):
        is_written = before[name].abs().sum() > 0
        assert not is_written or not torch.equal(before[name], weights[name])
    embeddings = "model.language_model.embed_tokens.weight"
    assert torch.equal(before[embeddings][:, 0], weights[embeddings][:, 0])


def test_the_second_time_comes_from_the_cache(cache: Path) -> None:
    first = after(LITTLE).state_dict()
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    second = after(LITTLE).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert file.stat().st_mtime_ns == written


def test_another_recipe_is_another_checkpoint(cache: Path) -> None:
    after(LITTLE)
    after(Training(noise=0.01, seed=1))
    assert len(list(cache.iterdir())) == 2


def test_training_that_does_not_succeed_leaves_nothing_behind(cache: Path) -> None:
    with pytest.raises(CheckpointError, match="train longer or with less noise"):
        after(Training(noise=1.0, steps=1))
    assert not cache.exists()


@pytest.mark.slow
def test_the_trained_checkpoint_answers_questions_it_never_saw() -> None:
    model, processor = build("planted/trained")
    noisy = build("planted/rotated")[0].state_dict()
    assert not torch.equal(noisy["lm_head.weight"], model.state_dict()["lm_head.weight"])
    for sample in scene_samples(per_task=4, seed=99):
        prompt = f"USER: <image>\n{sample.question}\nAnswer the question using a single word or "
        inputs = processor(
            images=sample.image, text=prompt + "phrase. ASSISTANT:", return_tensors="pt"
        )
        with torch.inference_mode():
            best = model(**inputs).logits[0, -1].argmax()
        assert processor.tokenizer.decode(best) == sample.answer.capitalize()

"""A saved planted checkpoint is an ordinary one: transformers loads it and nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from mmflow_bench.planted.models import build, save
from mmflow_bench.scenes.questions import scene_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "mini"
    save("planted/mini", path)
    return path


def test_a_reloaded_checkpoint_gives_identical_inputs_and_logits(folder: Path) -> None:
    model, processor = build("planted/mini")
    reloaded = AutoModelForImageTextToText.from_pretrained(folder)
    again = AutoProcessor.from_pretrained(folder)
    for sample in scene_samples(per_task=1):
        content = [
            {"type": "image", "image": sample.image},
            {"type": "text", "text": sample.question},
        ]
        first, second = (
            one.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            for one in (processor, again)
        )
        assert set(first) == set(second)
        assert all(torch.equal(first[name], second[name]) for name in first)
        with torch.inference_mode():
            assert torch.equal(model(**first).logits, reloaded(**second).logits)


def test_a_reloaded_model_is_in_float32_and_ends_after_the_answer(folder: Path) -> None:
    reloaded = AutoModelForImageTextToText.from_pretrained(folder)
    assert reloaded.dtype == torch.float32
    assert reloaded.generation_config.eos_token_id == reloaded.config.text_config.eos_token_id


def test_a_reloaded_tokenizer_has_its_special_tokens_and_offsets(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "What color is the zebra,\nred?"
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
    assert pieces == ["What", "color", "is", "the", "zebra", ",", "\n", "red", "?"]
    unknown = tokenizer.convert_ids_to_tokens(encoded["input_ids"]).index("<unk>")
    assert pieces[unknown] == "zebra"
    assert tokenizer.encode("red")[0] == tokenizer.bos_token_id
    assert tokenizer.pad_token == "<pad>"

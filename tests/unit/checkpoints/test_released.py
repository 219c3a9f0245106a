from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS
from mmflow_bench.checkpoints.registry import registered_models, resolve_checkpoint
from mmflow_bench.checkpoints.released import RELEASED
from mmflow_bench.errors import CheckpointError
from mmflow_bench.measurements.asking import asked_questions
from mmflow_bench.mechanisms.paper import (
    FURTHER_MODELS,
    NEXT_LLAMA3_8B,
    NEXT_VICUNA_7B,
    VICUNA_7B,
    VICUNA_13B,
)

PAPER = (VICUNA_13B, VICUNA_7B, NEXT_VICUNA_7B, NEXT_LLAMA3_8B)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_checkpoints_go_by_its_names(name: str) -> None:
    spec = resolve_checkpoint(name)
    assert (spec.kind, spec.paper_model, spec.input) == ("hub", name, "paper")
    assert spec.source.startswith("llava-hf/")
    assert spec.revision is None


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("llava-v1.5-7b", "llava-hf/llava-1.5-7b-hf"),
        ("llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
        ("LLaVA-1.5-7B", "llava-hf/llava-1.5-7b-hf"),
        ("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-7b-hf"),
        ("liuhaotian/llava-v1.5-7b", "liuhaotian/llava-v1.5-7b"),
        ("llava-v1.6-vicuna-7b-hf", "llava-hf/llava-v1.6-vicuna-7b-hf"),
        ("lmms-lab/llama3-llava-next-8b", "lmms-lab/llama3-llava-next-8b"),
        ("llava-onevision-qwen2-7b-ov", "llava-hf/llava-onevision-qwen2-7b-ov-hf"),
        ("lmsys/vicuna-13b-v1.5", "lmsys/vicuna-13b-v1.5"),
    ],
)
def test_a_checkpoint_goes_by_many_names(name: str, source: str) -> None:
    spec = resolve_checkpoint(name)
    assert (spec.kind, spec.source, spec.name) == ("hub", source, name)
    assert spec.input == "paper"


def test_no_name_means_two_checkpoints() -> None:
    meant: dict[str, str] = {}
    for entry in RELEASED:
        for name, _ in entry.names():
            assert meant.setdefault(name.lower(), entry.name) == entry.name


def test_conversations_exist() -> None:
    assert {entry.conversation for entry in RELEASED} <= {*CONVERSATIONS}


def test_a_declaration_may_name_exactly_the_papers_checkpoints() -> None:
    names = {entry.paper_model for entry in RELEASED if entry.paper_model is not None}
    assert names == {*PAPER, *FURTHER_MODELS}


def test_a_revision_and_a_conversation_are_the_users() -> None:
    args = {"revision": "abc", "conversation": "qwen_1_5"}
    spec = resolve_checkpoint("llava-1.5-7b", model_args=args)
    assert (spec.revision, spec.conversation) == ("abc", "qwen_1_5")
    assert resolve_checkpoint("llava-1.5-7b", input_choice="hub").input == "hub"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the path of a hub id, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lmms-lab" / "llama3-llava-next-8b"
    path.mkdir(parents=True)
    return path


def write(folder: Path, **config: object) -> None:
    folder.joinpath("config.json").write_text(json.dumps(config))


def test_a_folder_inherits_nothing_from_its_name(folder: Path) -> None:
    (folder / "tower").mkdir()
    write(folder, model_type="llava_llama", vocab_size=128256, mm_vision_tower="tower")
    spec = resolve_checkpoint("lmms-lab/llama3-llava-next-8b")
    assert (spec.kind, spec.input, spec.conversation) == ("folder", "paper", "llava_llama_3")
    assert not spec.exceptions
    assert spec.paper_model is None


def test_a_native_folder_takes_the_papers_input_when_asked(folder: Path) -> None:
    write(folder, model_type="llava", text_config={"model_type": "llama", "vocab_size": 32064})
    plain = resolve_checkpoint(str(folder))
    assert (plain.input, plain.conversation) == ("hub", None)
    asked = resolve_checkpoint(str(folder), input_choice="paper")
    assert (asked.input, asked.conversation) == ("paper", "vicuna_v1")
    named = resolve_checkpoint(str(folder), model_args={"conversation": "qwen_1_5"})
    assert (named.input, named.conversation) == ("paper", "qwen_1_5")


def test_a_folder_of_another_family_says_that_its_template_is_not_known(folder: Path) -> None:
    write(folder, model_type="gemma3", text_config={"model_type": "gemma3_text"})
    with pytest.raises(CheckpointError, match=r"gemma3_text.*--model-args=conversation="):
        resolve_checkpoint(str(folder), input_choice="paper")


def test_a_built_checkpoint_has_no_paper_input() -> None:
    with pytest.raises(CheckpointError, match="planted/mini"):
        resolve_checkpoint("planted/mini", input_choice="paper")


def test_all_are_listed() -> None:
    assert {entry.name for entry in RELEASED} <= registered_models().keys()


def test_released_checkpoints_are_asked_the_papers_question_sets() -> None:
    llava = resolve_checkpoint("llava-v1.6-vicuna-7b")
    assert (llava.questions, llava.images) == ("gqa", "hub")
    # Captions stand in for the images of a language model.
    vicuna = resolve_checkpoint("vicuna-13b-v1.5")
    assert (vicuna.questions, vicuna.images) == ("gqa", None)


def test_a_language_model_of_the_paper_is_asked_with_captions() -> None:
    asked = asked_questions(resolve_checkpoint("vicuna-13b-v1.5"))
    assert len(asked.samples) + len(asked.unscored) == 5525
    assert all(sample.image is None and sample.caption for sample in asked.samples)

"""Families as records: each of its own file, and those that another package adds."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, PretrainedConfig

from mmflow_bench.checkpoints import additions, families
from mmflow_bench.checkpoints.families import known, recognising
from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS, Conversation, Decoder
from mmflow_bench.checkpoints.families.layout import ImageLayout, PatchGrid, ProcessedImage
from mmflow_bench.checkpoints.families.record import Family
from mmflow_bench.checkpoints.parts import parts_of
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.forms import prompt_identity

THEIR_TEMPLATE = Conversation(before="<q>", after="<a>")


def their_layout(image: ProcessedImage) -> ImageLayout | None:
    return ImageLayout(grids=(), newlines=(image.image_tokens,))


THEIRS = Family(
    name="theirs",
    model_types=("theirs",),
    layout=their_layout,
    layers="body.blocks",
    final_norm="body.last",
    image_token_keys=("picture_token",),
    decoders=(
        Decoder(
            conversation="their_words",
            template=THEIR_TEMPLATE,
            native="llama",
            original_types=("llava_theirs",),
        ),
    ),
)


class EntryPoint:
    value = "their_package:FAMILY"

    def __init__(self, given: object) -> None:
        self.given = given

    def load(self) -> object:
        return self.given


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    def forget() -> None:
        known.added_families.cache_clear()
        recognising.added_decoders.cache_clear()

    def given(value: object) -> None:
        points = {additions.FAMILIES: [EntryPoint(value)]}
        monkeypatch.setattr(additions, "entry_points", lambda group: points.get(group, []))
        forget()

    yield given
    monkeypatch.undo()
    forget()


def test_no_model_type_is_of_two_families() -> None:
    types = [kind for family in known.own_families() for kind in family.model_types]
    assert len(types) == len(set(types)) >= 10


def test_a_record_is_alone_in_its_file() -> None:
    for module in pkgutil.iter_modules(families.__path__, f"{families.__name__}."):
        if module.name == known.__name__:
            continue
        defined = vars(importlib.import_module(module.name)).values()
        assert sum(isinstance(value, Family) for value in defined) <= 1


def test_what_no_record_speaks_of_is_measured_by_its_structure() -> None:
    family = known.family_of(PretrainedConfig())
    assert (family.layers, family.final_norm, family.aspect_ratio) == ("layers", "norm", None)


def test_a_family_of_another_package_says_where_its_parts_are(register) -> None:
    register([THEIRS])
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=1,
    )
    model = LlamaForCausalLM(config)
    config.model_type, config.picture_token, config.vision_config = "theirs", 7, {}
    body = nn.Module()
    body.blocks, body.last = model.model.layers, model.model.norm
    model.model.body = body
    del model.model.layers, model.model.norm
    parts = parts_of(model)
    assert len(parts.decoder_layers) == 2
    assert parts.final_norm is body.last
    assert (parts.image_token_id, parts.family) == (7, THEIRS)


def test_a_family_of_another_package_lays_out_its_photos(register) -> None:
    register(THEIRS)
    image = ProcessedImage(
        width=4,
        height=4,
        image_processor=None,
        config=PretrainedConfig(vision_config=PretrainedConfig()),
        model_inputs={"pixel_values": torch.zeros(1)},
        image_tokens=3,
    )
    assert known.image_layout(image) == ImageLayout(grids=(), newlines=(3,))
    assert not isinstance(known.image_layout(image), PatchGrid)


def test_a_family_of_another_package_brings_its_conversation(register, tmp_path: Path) -> None:
    config = {"model_type": "llava_theirs", "mm_vision_tower": str(tmp_path)}
    tmp_path.joinpath("config.json").write_text(json.dumps(config))
    args = {"conversation": "their_words"}
    with pytest.raises(CheckpointError, match="their_words"):
        resolve_checkpoint("llava-1.5-7b", model_args=args)
    before = prompt_identity("paper", "vicuna_v1")
    register(lambda: [THEIRS])
    spec = resolve_checkpoint(str(tmp_path))
    assert (spec.input, spec.conversation) == ("paper", "their_words")
    assert resolve_checkpoint("llava-1.5-7b", model_args=args).conversation == "their_words"
    # What is measured with other templates stays what it was.
    assert prompt_identity("paper", "vicuna_v1") == before
    said = prompt_identity("paper", "their_words")["conversations"]
    assert isinstance(said, dict)
    assert said.keys() == {*CONVERSATIONS, "their_words"}


def test_something_that_is_no_family_is_named(register) -> None:
    register(["no family"])
    with pytest.raises(CheckpointError, match=r"a Family, .*got str .*their_package"):
        known.family_of(PretrainedConfig())

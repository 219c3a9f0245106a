"""Questions that share an image are read as if each were alone, from the processor's tokens."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tiny_gemma import tiny_gemma
from transformers import LlavaForConditionalGeneration

from mmflow_bench.inputs.forms import INSTRUCTION
from mmflow_bench.learned.anatomy import llava_config, llava_processor


@pytest.fixture
def student():
    from runs import Recipe
    from tuning import Student

    language = tiny_gemma()
    llava = LlavaForConditionalGeneration(llava_config(language.config, language.tokenizer))
    llava.model.language_model.load_state_dict(dict(language.weights))
    made = Student(Recipe(rank=2), language.tokenizer, llava)
    with torch.no_grad():
        for weight in made.adapter.values():
            weight.normal_(std=0.2)
    return made


def scene_with_questions(seed: int):
    from scenes import asked, training_scene

    draw = random.Random(seed)
    scene = training_scene(draw)
    return scene, [(one.text, one.answer) for one in asked(draw, scene, 5)]


def test_questions_do_not_see_each_other(student) -> None:
    from packing import pack
    from tower import pixels

    scenes, rows = zip(*(scene_with_questions(seed) for seed in (0, 1)), strict=True)
    together = student.hidden(pixels(scenes), pack(student.tokenizer, rows))
    alone = [
        student.hidden(pixels([scene]), pack(student.tokenizer, [[one]]))
        for scene, row in zip(scenes, rows, strict=True)
        for one in row
    ]
    assert together.shape == (10, 2, 32)
    # Half precision rounds otherwise in other shapes.
    assert torch.allclose(together, torch.cat(alone), atol=0.05)
    assert not torch.allclose(together[0], together[1], atol=0.2)


def test_a_prompt_does_not_see_its_answer(student) -> None:
    from packing import pack
    from tower import pixels

    scene, row = scene_with_questions(0)
    batch = pack(student.tokenizer, [row])
    before = student.hidden(pixels([scene]), batch)
    rows, ends = batch.read.T
    batch.ids[rows, ends + 1] = student.tokenizer.unk_token_id
    after = student.hidden(pixels([scene]), batch)
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1], atol=0.1)


def test_attention_that_adds_masks_up_is_refused() -> None:
    from runs import Recipe
    from tuning import Student

    language = tiny_gemma()
    llava = LlavaForConditionalGeneration(llava_config(language.config, language.tokenizer))
    llava.set_attn_implementation("eager")
    with pytest.raises(ValueError, match="loaded with sdpa, whose masks are obeyed, got eager"):
        Student(Recipe(rank=2), language.tokenizer, llava)


def test_tokens_and_pixels_are_those_of_the_processor() -> None:
    from packing import PATCHES, pack
    from tower import pixels

    processor = llava_processor(tiny_gemma().tokenizer)
    scene, row = scene_with_questions(0)
    batch = pack(processor.tokenizer, [row])
    content = [{"type": "image"}, {"type": "text", "text": row[0][0] + INSTRUCTION}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    inputs = processor(images=scene.rendered(), text=[prompt], return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    (_, end) = batch.read[0].tolist()
    assert end == len(ids) - 1
    is_image = [token == processor.image_token_id for token in ids]
    assert is_image == [False, *[True] * PATCHES, *[False] * (len(ids) - PATCHES - 1)]
    assert batch.ids[0, 1 + PATCHES : end + 1].tolist() == ids[1 + PATCHES :]
    assert torch.equal(inputs["pixel_values"], pixels([scene]))


def test_facts_of_patches_are_those_of_the_scene() -> None:
    from tower import FACTS, facts

    from mmflow_bench.scenes.rendering import PlacedObject, Scene

    thing = PlacedObject(category="ball", color="green", material="wood", row=2, column=3)
    shown = facts(Scene(gist=0, objects=(thing,))).reshape(len(FACTS), 6, 6)
    covered = shown[0] != 4
    assert [tuple(place) for place in np.argwhere(covered)] == [(2, 3), (2, 4), (3, 3), (3, 4)]
    assert shown[:4, 2, 3].tolist() == [2, 2, 1, 0]
    assert shown[3, 2:4, 3:5].flatten().tolist() == [0, 1, 2, 3]
    assert shown[:, 5, 1].tolist() == [4, 4, 2, 4, 5, 1]


def test_what_is_said_of_a_patch_is_as_long_as_a_word() -> None:
    from projector import said, word_vectors

    tokenizer = tiny_gemma().tokenizer
    table = torch.nn.Embedding(len(tokenizer), 512)
    vectors = word_vectors(tokenizer, table)
    from tower import facts

    from mmflow_bench.scenes.rendering import PlacedObject, Scene

    thing = PlacedObject(category="ball", color="green", material="wood", row=0, column=0)
    spoken = said(vectors, torch.from_numpy(facts(Scene(gist=0, objects=(thing,)))))

    def word(text: str) -> torch.Tensor:
        return table.weight[tokenizer.encode(f" {text}", add_special_tokens=False)[0]]

    of_object = sum(word(text) for text in ("ball", "green", "wood", "left")) / 2
    of_wall = (word("wall") + word("right")) / 2**0.5
    assert torch.allclose(spoken[0], of_object, atol=1e-5)
    assert torch.allclose(spoken[35], of_wall, atol=1e-5)


def test_an_answer_of_two_tokens_is_refused() -> None:
    from packing import answer_id

    with pytest.raises(ValueError, match="an answer of one token, got 'light blue', which has 2"):
        answer_id(tiny_gemma().tokenizer, "light blue")

"""Token ids of the paper's input with the vocabularies of its checkpoints.

What is expected was seen in runs of the authors' program: the piece of a bare space before the
newline after the image, and the two start tokens of Llama-3.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
from PIL import Image
from tokenizers import pre_tokenizers
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.samples import Sample

pytestmark = pytest.mark.real

RandomLlava = Callable[..., LoadedCheckpoint]
SPACE, NEWLINE = 29871, 13
"""Of Llama-2: the piece of a bare space, and the byte of a newline."""
PATCHES = 4


def ids_of(checkpoint: LoadedCheckpoint) -> list[int]:
    sample = Sample(
        question_id="1",
        image_id="photo",
        task="ChooseAttr",
        question="What color is the cup, red or blue?",
        answer="red",
        image=Image.new("RGB", (28, 28)),
    )
    ids: list[int] = encode(sample, checkpoint).input_ids.tolist()
    return ids


def around_image(ids: list[int], image: int) -> tuple[list[int], list[int]]:
    first, count = ids.index(image), ids.count(image)
    assert ids[first : first + count] == [image] * count == [image] * PATCHES
    return ids[:first], ids[first + count :]


def test_vicuna_has_a_space_before_the_newline_after_the_image(
    llama_2_tokenizer: PreTrainedTokenizerFast, random_llava: RandomLlava
) -> None:
    checkpoint = random_llava(llama_2_tokenizer, "vicuna_v1", side=28)
    before, after = around_image(ids_of(checkpoint), checkpoint.parts.image_token_id)
    # <s> A chat between a curious user ... US ER : and a bare space.
    assert before[:7] == [1, 319, 13563, 1546, 263, 12758, 1404]
    assert before[-4:] == [3148, 1001, 29901, SPACE]
    assert after[:4] == [SPACE, NEWLINE, 5618, 2927]
    assert after.count(NEWLINE) == 2
    assert after[after.index(NEWLINE, 2) - 1] == SPACE
    # ▁A SS IST ANT :
    assert after[-5:] == [319, 1799, 9047, 13566, 29901]


@pytest.mark.parametrize(
    "settings", [{"legacy": True}, {"legacy": False}, {"legacy": False, "add_prefix_space": False}]
)
def test_settings_of_the_tokenizer_change_no_token(
    llama_2_tokenizer: PreTrainedTokenizerFast,
    llama_2_class_tokenizer: Callable[..., LlamaTokenizer],
    random_llava: RandomLlava,
    settings: dict[str, bool],
) -> None:
    expected = ids_of(random_llava(llama_2_tokenizer, "vicuna_v1", side=28))
    tokenizer = llama_2_class_tokenizer(**settings)
    assert ids_of(random_llava(tokenizer, "vicuna_v1", side=28)) == expected


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_where_spaces_are_put_changes_no_token(
    llama_2_tokenizer: PreTrainedTokenizerFast, random_llava: RandomLlava, scheme: str
) -> None:
    expected = ids_of(random_llava(llama_2_tokenizer, "vicuna_v1", side=28))
    tokenizer = deepcopy(llama_2_tokenizer)
    tokenizer.backend_tokenizer.normalizer = None
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(
        prepend_scheme=scheme, split=False
    )
    assert ids_of(random_llava(tokenizer, "vicuna_v1", side=28)) == expected


@pytest.mark.parametrize("adds_start", [True, False])
def test_llama_3_begins_twice_and_ends_in_a_space_and_a_newline(
    llama_3_tokenizer: PreTrainedTokenizerFast, random_llava: RandomLlava, adds_start: bool
) -> None:
    tokenizer = deepcopy(llama_3_tokenizer)
    if not adds_start:
        tokenizer.backend_tokenizer.post_processor = None
    checkpoint = random_llava(tokenizer, "llava_llama_3", side=28)
    before, after = around_image(ids_of(checkpoint), checkpoint.parts.image_token_id)
    # The header of the system prompt, then an empty line.
    assert before[:6] == [128000, 128000, 128006, 9125, 128007, 271]
    # <|eot_id|>, the header of the user, an empty line.
    assert before[-5:] == [128009, 128006, 882, 128007, 271]
    assert after[:3] == [198, 3923, 1933]
    assert after[-6:] == [128009, 128006, 78191, 128007, 271, 720]
    assert 128000 not in after


def test_mistral_has_a_space_before_the_newline_after_the_image(
    mistral_tokenizer: PreTrainedTokenizerFast, random_llava: RandomLlava
) -> None:
    checkpoint = random_llava(mistral_tokenizer, "mistral_instruct", side=28)
    before, after = around_image(ids_of(checkpoint), checkpoint.parts.image_token_id)
    # <s> ▁[ INST ] and a bare space.
    assert before == [1, 733, 16289, 28793, 28705]
    assert after[:3] == [28705, 13, 3195]
    # ▁[ / INST ]
    assert after[-4:] == [733, 28748, 16289, 28793]

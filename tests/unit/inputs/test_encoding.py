from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError, SampleError
from mmflow_bench.inputs.encoding import EncodedSample, encode
from mmflow_bench.inputs.samples import Box, Sample

Build = Callable[..., LoadedCheckpoint]
CHECKPOINTS: dict[str, LoadedCheckpoint] = {}

LLAVA = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
WITH_BOS = "{{ bos_token }}" + LLAVA
IMAGE_LAST = (
    "{% for message in messages %}{{ 'USER: ' }}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>' }}{% endfor %}"
    "{% endfor %}{{ ' ASSISTANT:' }}"
)
OF_STRINGS = "{% for m in messages %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endfor %}"

INSTRUCTION = "\nAnswer the question using a single word or phrase."
QUESTION = "What color is the cup, red or blue?"


def a_sample(**changes: Any) -> Sample:
    return replace(
        Sample(
            question_id="007",
            image_id="photo",
            task="ChooseAttr",
            question=QUESTION,
            answer="red",
            true_option="red",
            false_option="blue",
            object_names=("cup",),
            boxes=(Box(x=0.0, y=0.0, width=20.0, height=20.0),),
            image=Image.new("RGB", (60, 40), "gray"),
        ),
        **changes,
    )


def asked(encoded: EncodedSample) -> str:
    start, end = encoded.question_span
    return encoded.text[start:end]


@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
def test_the_plain_form_is_that_of_llava(image_checkpoint: Build, kind: str) -> None:
    encoded = encode(a_sample(), image_checkpoint(kind))
    assert encoded.prompt == f"USER: <image>\n{QUESTION}{INSTRUCTION} ASSISTANT:"
    assert encoded.text == encoded.prompt.replace("<image>", "<image>" * 16)
    assert asked(encoded) == QUESTION


@pytest.mark.parametrize("template", [LLAVA, WITH_BOS, IMAGE_LAST])
@pytest.mark.parametrize("kind", ["sentencepiece", "bytes"])
def test_the_question_is_found_under_every_template(
    image_checkpoint: Build, kind: str, template: str
) -> None:
    encoded = encode(a_sample(), image_checkpoint(kind, template=template))
    assert asked(encoded) == QUESTION


def test_ids_and_pixels_are_those_of_the_processor(image_checkpoint: Build) -> None:
    checkpoint = image_checkpoint(template=LLAVA)
    encoded = encode(a_sample(), checkpoint)
    given_out = checkpoint.processor(
        images=a_sample().image, text=encoded.prompt, return_tensors="pt"
    )
    assert encoded.input_ids.tolist() == given_out["input_ids"][0].tolist()
    assert torch.equal(encoded.model_inputs["pixel_values"], given_out["pixel_values"])
    assert set(encoded.model_inputs) == {"pixel_values"}


def test_the_model_takes_what_was_encoded(image_checkpoint: Build) -> None:
    checkpoint = image_checkpoint()
    encoded = encode(a_sample(), checkpoint)
    logits = checkpoint.model(input_ids=encoded.input_ids[None], **encoded.model_inputs).logits
    assert logits.shape[1] == len(encoded.offsets) == len(encoded.input_ids)


def test_a_template_that_writes_the_start_token_gets_no_second_one(image_checkpoint: Build) -> None:
    for template in (LLAVA, WITH_BOS):
        checkpoint = image_checkpoint(template=template)
        ids = encode(a_sample(), checkpoint).input_ids.tolist()
        assert ids.count(checkpoint.tokenizer.bos_token_id) == 1


def test_a_template_of_strings_is_given_a_string(text_checkpoint: Build) -> None:
    sample = a_sample(image=None, boxes=(), caption="a red cup.")
    encoded = encode(sample, text_checkpoint(template=OF_STRINGS))
    assert encoded.prompt == f"[INST] a red cup.\n{QUESTION}{INSTRUCTION} [/INST]"


def test_a_template_that_rewrites_the_text_is_refused(image_checkpoint: Build) -> None:
    template = "<image>{{ messages[0]['content'][1]['text'] | upper }}"
    with pytest.raises(CheckpointError, match="once and unchanged"):
        encode(a_sample(), image_checkpoint(template=template))


def test_captions_stand_where_the_image_would_in_a_language_model(text_checkpoint: Build) -> None:
    encoded = encode(a_sample(caption="a red cup.\na table."), text_checkpoint())
    assert encoded.caption_span is not None
    start, end = encoded.caption_span
    assert encoded.text[start:end] == "a red cup.\na table."
    assert asked(encoded) == QUESTION
    assert encoded.model_inputs == {}
    assert encoded.layout is None


def test_captions_stand_in_for_a_missing_image(image_checkpoint: Build) -> None:
    encoded = encode(a_sample(image=None, caption="a red cup."), image_checkpoint(template=LLAVA))
    assert encoded.prompt == f"USER: a red cup.\n{QUESTION}{INSTRUCTION} ASSISTANT:"
    assert "pixel_values" not in encoded.model_inputs


def test_an_image_wins_over_captions(image_checkpoint: Build) -> None:
    encoded = encode(a_sample(caption="a red cup."), image_checkpoint())
    assert encoded.caption_span is None
    assert "red cup" not in encoded.text


def test_the_question_is_found_after_captions_that_quote_it(text_checkpoint: Build) -> None:
    caption = f"someone asks: {QUESTION}"
    encoded = encode(a_sample(image=None, caption=caption), text_checkpoint())
    assert encoded.caption_span is not None
    assert encoded.question_span[0] > encoded.caption_span[1]


@pytest.mark.parametrize(
    ("changes", "has_image", "reason"),
    [
        ({"question": " "}, True, "empty-question"),
        ({"question": "What is <image> here?"}, True, "special-token-in-text"),
        ({"question": "What is </s> here?"}, True, "special-token-in-text"),
        ({"image": None}, True, "missing-image"),
        ({}, False, "missing-caption"),
        ({"caption": "a <s> cup"}, False, "special-token-in-text"),
        ({"boxes": (Box(x=50.0, y=0.0, width=20.0, height=9.0),)}, True, "box-outside-image"),
        ({"image_width": 15, "image_height": 10}, True, "box-outside-image"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_a_reason(
    image_checkpoint: Build,
    text_checkpoint: Build,
    changes: dict[str, Any],
    has_image: bool,
    reason: str,
) -> None:
    checkpoint = (image_checkpoint if has_image else text_checkpoint)()
    with pytest.raises(SampleError, match="007") as caught:
        encode(a_sample(**changes), checkpoint)
    assert caught.value.reason == reason


def test_a_sequence_that_is_longer_than_the_checkpoint_knows_is_refused(
    image_checkpoint: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = image_checkpoint()
    length = len(encode(a_sample(), checkpoint).input_ids)
    text = checkpoint.model.config.get_text_config()
    monkeypatch.setattr(text, "max_position_embeddings", length)
    encode(a_sample(), checkpoint)
    monkeypatch.setattr(text, "max_position_embeddings", length - 1)
    with pytest.raises(SampleError, match=f"got {length} .sample 007") as caught:
        encode(a_sample(), checkpoint)
    assert caught.value.reason == "sequence-too-long"


def test_boxes_follow_a_resized_copy_of_their_image(image_checkpoint: Build) -> None:
    sample = a_sample(
        image_width=120, image_height=160, boxes=(Box(x=60.0, y=80.0, width=60.0, height=40.0),)
    )
    assert encode(sample, image_checkpoint()).boxes == (
        Box(x=30.0, y=20.0, width=30.0, height=10.0),
    )


def test_another_image_takes_the_place_of_the_samples_own(image_checkpoint: Build) -> None:
    checkpoint = image_checkpoint()
    white = Image.new("RGB", (30, 30), "white")
    changed, own = encode(a_sample(), checkpoint, image=white), encode(a_sample(), checkpoint)
    assert torch.equal(changed.input_ids, own.input_ids)
    assert not torch.equal(changed.model_inputs["pixel_values"], own.model_inputs["pixel_values"])
    assert changed.boxes == ()


def test_a_tokenizer_that_ends_every_text_is_refused(image_checkpoint: Build) -> None:
    with pytest.raises(CheckpointError, match="add_eos_token"):
        encode(a_sample(), image_checkpoint(eos=True))


def test_a_processor_that_says_nothing_of_replacements_is_understood(
    image_checkpoint: Build,
) -> None:
    checkpoint = image_checkpoint()

    class Older:
        image_token = "<image>"
        image_processor = checkpoint.processor.image_processor

        def __call__(self, **inputs: Any) -> Any:
            return checkpoint.processor(**inputs)

    older = replace(checkpoint, processor=Older())
    assert encode(a_sample(), older).text == encode(a_sample(), checkpoint).text


def test_a_processor_with_other_tokens_than_its_text_is_refused(image_checkpoint: Build) -> None:
    checkpoint = image_checkpoint()

    class Other:
        image_token = "<image>"
        image_processor = checkpoint.processor.image_processor

        def __call__(self, *, text: list[str], **inputs: Any) -> Any:
            return checkpoint.processor(text=[f"{text[0]} more"], **inputs)

    with pytest.raises(CheckpointError, match="not supported"):
        encode(a_sample(), replace(checkpoint, processor=Other()))


def test_pixels_have_the_precision_of_the_model(image_checkpoint: Build) -> None:
    checkpoint = image_checkpoint()
    checkpoint.model.half()
    assert encode(a_sample(), checkpoint).model_inputs["pixel_values"].dtype == torch.float16


@settings(max_examples=60, deadline=None)
@given(
    question=st.text(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<"), min_size=1
    ).filter(str.strip),
    kind=st.sampled_from(["sentencepiece", "bytes"]),
)
def test_any_question_is_found_and_covered(
    image_checkpoint: Build, question: str, kind: str
) -> None:
    encoded = encode(
        a_sample(question=question),
        CHECKPOINTS.setdefault(kind, image_checkpoint(kind, template=LLAVA)),
    )
    assert asked(encoded) == question.strip()
    start, end = encoded.question_span
    covered = {c for first, last in encoded.offsets for c in range(first, last)}
    spaces = {c for c in range(start, end) if encoded.text[c].isspace()}
    assert set(range(start, end)) - spaces <= covered


@pytest.mark.parametrize("question", ["word", "the question", "Captions", "a"])
@pytest.mark.parametrize("template", [None, OF_STRINGS])
def test_parts_that_occur_elsewhere_in_the_prompt_are_told_apart(
    text_checkpoint: Build, question: str, template: str | None
) -> None:
    sample = a_sample(task="own", question=question, image=None, caption="a")
    encoded = encode(sample, text_checkpoint(template=template))
    assert encoded.caption_span is not None
    (first, last), (start, end) = encoded.caption_span, encoded.question_span
    assert encoded.text[first:last] == "a"
    assert encoded.text[start:end] == question
    assert encoded.text[:first] in ("Captions: ", "[INST] ")
    assert encoded.text[end:].startswith(INSTRUCTION)

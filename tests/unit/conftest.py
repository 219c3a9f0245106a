"""Checkpoints with a real processor and random weights, for tests of inputs and positions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec

SIDE, PATCH = 28, 7
SPECIAL = ["<unk>", "<s>", "</s>", "<image>"]
CORPUS = [
    "What color is the cup, red or blue?",
    "Answer the question using a single word or phrase.",
    "USER: ASSISTANT: Is the box to the left or to the right of the ball?",
]


def byte_level_tokenizer() -> Tokenizer:
    """As GPT-2, Llama-3 and Qwen: bytes, so that a character may be several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=340, initial_alphabet=alphabet, special_tokens=SPECIAL)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentencepiece_tokenizer() -> Tokenizer:
    """As Llama-2 and Vicuna: spaces become part of words, unknown characters fall to bytes."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    words = [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    trained.pre_tokenizer = pre_tokenizers.Sequence(words)
    single_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    trained.train_from_iterator(
        CORPUS, BpeTrainer(vocab_size=400, special_tokens=[*SPECIAL, *single_bytes])
    )
    vocabulary = trained.get_vocab()
    merges = [
        tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair)
        for pair in json.loads(trained.to_str())["model"]["merges"]
    ]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    return tokenizer


def fast_tokenizer(kind: str, *, bos: bool = True, eos: bool = False) -> PreTrainedTokenizerFast:
    built = {"bytes": byte_level_tokenizer, "sentencepiece": sentencepiece_tokenizer}[kind]()
    built.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    ids = [(token, built.token_to_id(token)) for token in ("<s>", "</s>")]
    single = f"{'<s> ' if bos else ''}$A{' </s>' if eos else ''}"
    built.post_processor = TemplateProcessing(single=single, special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )


def _text_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=len(tokenizer),
    )


def _vision_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=PATCH,
    )


@pytest.fixture(scope="session")
def image_checkpoint() -> Callable[..., LoadedCheckpoint]:
    """A LLaVA with 16 patches: `image_checkpoint(kind, template=, image_processor=, strategy=)`."""

    def build(
        kind: str = "sentencepiece",
        *,
        template: str | None = None,
        image_processor: Any = None,
        strategy: str = "default",
        eos: bool = False,
    ) -> LoadedCheckpoint:
        tokenizer = fast_tokenizer(kind, eos=eos)
        if image_processor is None:
            image_processor = CLIPImageProcessorPil(
                size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
            )
        processor = LlavaProcessor(
            image_processor=image_processor,
            tokenizer=tokenizer,
            patch_size=PATCH,
            vision_feature_select_strategy=strategy,
            num_additional_image_tokens=1,
            chat_template=template,
        )
        config = LlavaConfig(
            vision_config=_vision_config(),
            text_config=_text_config(tokenizer),
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            vision_feature_select_strategy=strategy,
        )
        return _assembled(LlavaForConditionalGeneration(config), processor)

    return build


@pytest.fixture(scope="session")
def tiled_checkpoint() -> LoadedCheckpoint:
    """A LLaVA-NeXT, which cuts an image into tiles."""
    tokenizer = fast_tokenizer("sentencepiece")
    grids = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    processor = LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_grid_pinpoints=grids,
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = LlavaNextConfig(
        vision_config=_vision_config(),
        text_config=_text_config(tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    return _assembled(LlavaNextForConditionalGeneration(config), processor)


@pytest.fixture(scope="session")
def text_checkpoint() -> Callable[..., LoadedCheckpoint]:
    """A language model without a vision tower: `text_checkpoint(kind, template=)`."""

    def build(kind: str = "sentencepiece", *, template: str | None = None) -> LoadedCheckpoint:
        tokenizer = fast_tokenizer(kind)
        tokenizer.chat_template = template
        return _assembled(LlamaForCausalLM(_text_config(tokenizer)), tokenizer)

    return build


def _assembled(model: Any, processor: Any) -> LoadedCheckpoint:
    spec = CheckpointSpec(name="tiny", source="tiny", kind="built")
    return assemble_checkpoint(model, processor, spec=spec, identity="0" * 64)

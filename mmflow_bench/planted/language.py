"""The tokenizer and the processor of a planted checkpoint.

A word-level tokenizer: words, punctuation marks and line breaks are tokens, spaces are not. The
chat template is that of LLaVA-1.5.
"""

from __future__ import annotations

from typing import Any

from PIL import Image
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import WordPiece as PiecesTogether
from tokenizers.models import WordLevel, WordPiece
from tokenizers.pre_tokenizers import Punctuation, Sequence, Split
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPImageProcessorPil,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.planted.architecture import PINPOINTS, Processor
from mmflow_bench.planted.vocabulary import (
    BEGIN,
    END,
    IMAGE,
    PAD,
    SPECIAL,
    UNKNOWN,
    split_words,
    words,
)
from mmflow_bench.scenes.pictures import PATCH
from mmflow_bench.scenes.rendering import SIZE

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% if message['content'] is string %}{{ message['content'] + ' ' }}{% else %}"
    "{% for content in message['content'] if content['type'] == 'image' %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] if content['type'] == 'text' %}"
    "{{ content['text'] + ' ' }}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tokenizer(*, is_split: bool = False) -> PreTrainedTokenizerFast:
    """The word-level tokenizer; it puts `<s>` before every text.

    Args:
        is_split: Capitalised answers are two pieces.
    """
    known = split_words() if is_split else words()
    vocabulary = {word: token for token, word in enumerate(known)}
    pieces = WordPiece(vocabulary, unk_token=UNKNOWN) if is_split else None
    backend = Tokenizer(pieces or WordLevel(vocabulary, unk_token=UNKNOWN))
    if is_split:
        backend.decoder = PiecesTogether(cleanup=False)
    backend.pre_tokenizer = Sequence(
        [Split(Regex("\n"), "isolated"), Split(Regex("[^\\S\n]+"), "removed"), Punctuation()]
    )
    backend.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, vocabulary[BEGIN])]
    )
    backend.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        extra_special_tokens=[IMAGE],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def processor(
    *, is_tiled: bool = False, is_split: bool = False, is_padded: bool = False
) -> Processor:
    """The processor: an ordinary CLIP image processor, for which a scene has its native size.

    Args:
        is_tiled: Cut images into tiles. The overview leaves columns out instead of mixing them, so
            that the tower can recognise it.
        is_split: Capitalised answers are two pieces.
        is_padded: Pad images to a square, as LLaVA-1.5 does.
    """
    size: dict[str, Any] = {
        "size": {"shortest_edge": SIZE},
        "crop_size": {"height": SIZE, "width": SIZE},
    }
    shared: dict[str, Any] = {
        "tokenizer": tokenizer(is_split=is_split),
        "patch_size": PATCH,
        "vision_feature_select_strategy": "default",
        # the class token, without which one placeholder would be missing
        "num_additional_image_tokens": 1,
        "chat_template": CHAT_TEMPLATE,
        "image_token": IMAGE,
    }
    if is_padded:
        padding = LlavaImageProcessorPil(**size, do_pad=True)
        return LlavaProcessor(image_processor=padding, **shared)
    if not is_tiled:
        return LlavaProcessor(image_processor=CLIPImageProcessorPil(**size), **shared)
    tiles = LlavaNextImageProcessorPil(
        **size, image_grid_pinpoints=PINPOINTS, resample=Image.Resampling.NEAREST
    )
    return LlavaNextProcessor(image_processor=tiles, **shared)

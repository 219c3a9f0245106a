"""Tiny checkpoints of every vision-language family, with real processors and random weights."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
import transformers as hf
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.pixtral import image_processing_pil_pixtral
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.samples import Box, Sample

LAYERS = 4
TILE = 28
PATCH = 7
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": TILE,
    "patch_size": PATCH,
}
CORPUS = [
    "What color is the cup, red or blue?",
    "Answer the question using a single word or phrase.",
    "USER: ASSISTANT: Is the box to the left or to the right of the ball?",
]
ROWS_AND_COLUMNS = tuple(f"<row_{row}_col_{column}>" for row in (1, 2, 3) for column in (1, 2, 3))


def _tokenizer(*special: str, **named: str) -> hf.PreTrainedTokenizerFast:
    """Bytes and a few merges; `named` special tokens become attributes, as processors want them."""
    everything = dict.fromkeys(["<pad>", "<s>", "</s>", *special, *named.values()])
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    built.train_from_iterator(
        CORPUS,
        BpeTrainer(vocab_size=340, initial_alphabet=alphabet, special_tokens=list(everything)),
    )
    built.add_special_tokens([AddedToken(token, special=True) for token in everything])
    built.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", built.token_to_id("<s>"))]
    )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=built,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=named,
    )


def _without_video(processor_class):
    """The processor as it is for images; its other half needs packages that images do not."""

    class ImagesOnly(processor_class):
        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                super().check_argument_for_proper_class(argument_name, argument)

    ImagesOnly.__name__ = processor_class.__name__
    return ImagesOnly


def _sizes(tokenizer, **more):
    return {**TEXT, "vocab_size": len(tokenizer), **more}


def _qwen2_vl(config_class=hf.Qwen2VLConfig, model_class=hf.Qwen2VLForConditionalGeneration):
    tokenizer = _tokenizer("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    ids = tokenizer.convert_tokens_to_ids
    vision = {"depth": 2, "num_heads": 2, "patch_size": PATCH, "spatial_merge_size": 2}
    if config_class is hf.Qwen2VLConfig:
        vision |= {"embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2}
    else:
        vision |= {
            "hidden_size": 16,
            "out_hidden_size": 32,
            "intermediate_size": 24,
            "window_size": 4 * PATCH,
            "fullatt_block_indexes": [1],
        }
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    config = config_class(
        vision_config=vision,
        text_config=_sizes(tokenizer, rope_parameters=rope),
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
    )
    processor = _without_video(hf.Qwen2VLProcessor)(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=PATCH, merge_size=2, size={"shortest_edge": 28**2, "longest_edge": 70**2}
        ),
        tokenizer=tokenizer,
        chat_template=(
            "{% for message in messages %}{% for part in message.content %}"
            "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
            "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
        ),
    )
    return model_class(config), processor


def _qwen2_5_vl():
    return _qwen2_vl(hf.Qwen2_5_VLConfig, hf.Qwen2_5_VLForConditionalGeneration)


def _idefics3():
    tokenizer = _tokenizer(
        "<image>",
        "<fake_token_around_image>",
        "<end_of_utterance>",
        "<global-img>",
        *ROWS_AND_COLUMNS,
    )
    config = hf.Idefics3Config(
        vision_config=VISION,
        text_config=hf.LlamaConfig(**_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    processor = hf.Idefics3Processor(
        image_processor=Idefics3ImageProcessorPil(
            size={"longest_edge": 3 * TILE}, max_image_size={"longest_edge": TILE}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
    )
    return hf.Idefics3ForConditionalGeneration(config), processor


def _smolvlm():
    # The processor spells numbers of video frames, and refuses to be without.
    processing_smolvlm.num2words = processing_smolvlm.num2words or str
    named = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tokenizer = _tokenizer(*ROWS_AND_COLUMNS, **named)
    config = hf.SmolVLMConfig(
        vision_config=VISION,
        text_config=hf.LlamaConfig(**_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        pad_token_id=0,
    )
    processor = _without_video(hf.SmolVLMProcessor)(
        image_processor=SmolVLMImageProcessorPil(
            size={"longest_edge": 3 * TILE}, max_image_size={"longest_edge": TILE}
        ),
        tokenizer=tokenizer,
        video_processor=None,
        image_seq_len=4,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def _internvl():
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = _tokenizer(**named)
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            **(VISION | {"image_size": [TILE, TILE], "patch_size": [PATCH, PATCH]})
        ),
        text_config=hf.Qwen2Config(**_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        downsample_ratio=0.5,
    )
    processor = _without_video(hf.InternVLProcessor)(
        image_processor=GotOcr2ImageProcessorPil(
            size={"height": TILE, "width": TILE}, crop_to_patches=True, max_patches=6
        ),
        tokenizer=tokenizer,
        image_seq_length=4,
    )
    return hf.InternVLForConditionalGeneration(config), processor


def _gemma3():
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    tokenizer = _tokenizer(**named)
    config = hf.Gemma3Config(
        vision_config=hf.SiglipVisionConfig(**(VISION | {"image_size": 2 * TILE})),
        text_config=hf.Gemma3TextConfig(
            **_sizes(tokenizer), head_dim=8, query_pre_attn_scalar=8, sliding_window=9
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image_soft_token>"),
        mm_tokens_per_image=16,
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        model.model.multi_modal_projector.mm_input_projection_weight.normal_()
    processor = hf.Gemma3Processor(
        image_processor=Gemma3ImageProcessorPil(size={"height": 2 * TILE, "width": 2 * TILE}),
        tokenizer=tokenizer,
        image_seq_length=16,
    )
    return model, processor


def _paligemma():
    tokenizer = _tokenizer(image_token="<image>")
    processor = hf.PaliGemmaProcessor(
        image_processor=_with_length(SiglipImageProcessorPil(size={"height": TILE, "width": TILE})),
        tokenizer=tokenizer,
        chat_template=(
            "{% for message in messages %}{% for part in message.content %}"
            "{% if part.type == 'image' %}<image>"
            "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
        ),
    )
    config = hf.PaliGemmaConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, projection_dim=32),
        text_config=hf.GemmaConfig(**_sizes(processor.tokenizer), head_dim=8),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projection_dim=32,
        hidden_size=32,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


def _with_length(image_processor):
    image_processor.image_seq_length = (TILE // PATCH) ** 2
    return image_processor


def _llava_next():
    tokenizer = _tokenizer(image_token="<image>")
    grids = [[TILE, 2 * TILE], [2 * TILE, TILE], [2 * TILE, 2 * TILE]]
    processor = hf.LlavaNextProcessor(
        image_processor=LlavaNextImageProcessorPil(
            size={"shortest_edge": TILE},
            crop_size={"height": TILE, "width": TILE},
            image_grid_pinpoints=grids,
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**VISION),
        text_config=hf.LlamaConfig(**_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=grids,
    )
    return hf.LlavaNextForConditionalGeneration(config), processor


def _llava_onevision():
    tokenizer = _tokenizer("<video>", image_token="<image>")
    grids = [[TILE, 2 * TILE], [2 * TILE, TILE], [2 * TILE, 2 * TILE]]
    processor = _without_video(hf.LlavaOnevisionProcessor)(
        image_processor=LlavaOnevisionImageProcessorPil(
            size={"height": TILE, "width": TILE}, image_grid_pinpoints=grids
        ),
        tokenizer=tokenizer,
        num_image_tokens=(TILE // PATCH) ** 2,
        vision_feature_select_strategy="full",
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(**VISION, vision_use_head=False),
        text_config=hf.Qwen2Config(**_sizes(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=grids,
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def _pixtral_processor():
    """Its module asks for torchvision; the function it needs of it is the same with Pillow."""
    name = "transformers.models.pixtral.image_processing_pixtral"
    if importlib.util.find_spec("torchvision") is None:
        sys.modules[name] = image_processing_pil_pixtral
    try:
        return importlib.import_module(
            "transformers.models.pixtral.processing_pixtral"
        ).PixtralProcessor
    finally:
        if sys.modules.get(name) is image_processing_pil_pixtral:
            del sys.modules[name]


def _mistral3():
    named = {
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    }
    tokenizer = _tokenizer(**named)
    processor = _pixtral_processor()(
        image_processor=image_processing_pil_pixtral.PixtralImageProcessorPil(
            size={"longest_edge": 5 * TILE}, patch_size={"height": 2 * PATCH, "width": 2 * PATCH}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        spatial_merge_size=2,
        image_token="[IMG]",
    )
    config = hf.Mistral3Config(
        vision_config=hf.PixtralVisionConfig(**(VISION | {"image_size": 5 * TILE}), head_dim=8),
        text_config=hf.MistralConfig(**_sizes(tokenizer), head_dim=8),
        image_token_index=tokenizer.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )
    return hf.Mistral3ForConditionalGeneration(config), processor


BUILDERS = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "idefics3": _idefics3,
    "smolvlm": _smolvlm,
    "internvl": _internvl,
    "gemma3": _gemma3,
    "paligemma": _paligemma,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "mistral3": _mistral3,
}


@cache
def _built(family: str) -> LoadedCheckpoint:
    torch.manual_seed(0)
    model, processor = BUILDERS[family]()
    model.eval()
    with torch.no_grad():
        # As initialised, attention is all but uniform and no knockout moves anything.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    spec = CheckpointSpec(name=family, source=family, kind="built")
    return assemble_checkpoint(model, processor, spec=spec, identity="0" * 64)


@pytest.fixture(scope="session")
def family_checkpoint() -> Callable[[str], LoadedCheckpoint]:
    """`family_checkpoint("qwen2_vl")`, built once each."""
    return _built


@pytest.fixture(scope="session")
def photo_sample() -> Callable[..., Sample]:
    """`photo_sample(width, height, seed=, question=)`: noise with a box in it."""

    def build(
        width: int = 90,
        height: int = 60,
        *,
        seed: int = 0,
        question: str = "What color is the cup, red or blue?",
    ) -> Sample:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3))
        return Sample(
            question_id=f"{width}x{height}-{seed}-{len(question)}",
            task="ChooseAttr",
            question=question,
            answer="red",
            image_id=f"{width}x{height}-{seed}",
            image=Image.fromarray(pixels.astype(np.uint8)),
            true_option="red",
            false_option="blue",
            object_names=("cup",),
            boxes=(Box(x=width / 3, y=height / 3, width=width / 4, height=height / 4),),
        )

    return build

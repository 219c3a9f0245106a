"""LLaVA-1.5: a photo is padded to a square, or cropped, and seen once."""

from __future__ import annotations

from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    SiglipVisionConfig,
)
from transformers.image_processing_backends import PilBackend
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.record import Converted, Family, OriginalImages
from mmflow_bench.checkpoints.families.single_view import single_grid


def processor_settings(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> Json:
    """Settings that the processors of LLaVA-1.5 and LLaVA-NeXT share."""
    # CLIP has a class position in front of the patches, SigLIP has none.
    has_class = not isinstance(config.vision_config, SiglipVisionConfig)
    return {
        "tokenizer": tokenizer,
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": int(has_class),
        "chat_template": tokenizer.chat_template,
    }


def _settings(images: OriginalImages) -> Json:
    return {"image_seq_length": (images.vision.image_size // images.vision.patch_size) ** 2}


def _processor(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, tower: Json
) -> LlavaProcessor:
    image_processor: PilBackend = (
        LlavaImageProcessorPil(do_pad=True, **tower)
        if config.image_aspect_ratio == "pad"
        else CLIPImageProcessorPil(**tower)
    )
    return LlavaProcessor(image_processor=image_processor, **processor_settings(tokenizer, config))


LLAVA = Family(
    name="llava",
    model_types=("llava",),
    layout=single_grid,
    aspect_ratio="pad",
    converted=Converted(
        aspect_ratios="pad|square",
        config=LlavaConfig,
        model=LlavaForConditionalGeneration,
        settings=_settings,
        processor=_processor,
    ),
)

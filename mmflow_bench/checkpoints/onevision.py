"""LLaVA-OneVision's processor for photos, where the one for videos cannot be had.

Videos need torchvision, which nothing here does; transformers loads the two together or not at all.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoTokenizer, LlavaOnevisionProcessor, PretrainedConfig
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.utils.import_utils import is_torchvision_available

from mmflow_bench.checkpoints.sources import Source, read_json


class OnevisionPhotos(LlavaOnevisionProcessor):
    """OneVision's processor, which takes photos only."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """As for every processor, and nothing at all for videos."""
        if argument_name == "video_processor" and argument is None:
            return type(None)
        return super().check_argument_for_proper_class(argument_name, argument)


def needs_photos_only(config: PretrainedConfig) -> bool:
    """Whether transformers could not load the processor of this model here."""
    return config.model_type == "llava_onevision" and not is_torchvision_available()


def onevision_photos(source: Source, config: PretrainedConfig, **where: Any) -> OnevisionPhotos:
    """The processor of a converted OneVision checkpoint."""
    path = source.file("processor_config.json")
    settings = {} if path is None else read_json(path)
    tokenizer = AutoTokenizer.from_pretrained(source.name, config=config, **where)
    own = source.file("chat_template.jinja")
    template = tokenizer.chat_template if own is None else own.read_text(encoding="utf-8")
    vision = config.vision_config
    return OnevisionPhotos(
        image_processor=LlavaOnevisionImageProcessorPil.from_pretrained(source.name, **where),
        tokenizer=tokenizer,
        num_image_tokens=settings.get(
            "num_image_tokens", (vision.image_size // vision.patch_size) ** 2
        ),
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        vision_aspect_ratio=config.vision_aspect_ratio,
        chat_template=template or settings.get("chat_template"),
    )

"""LLaVA-OneVision: tiles as in LLaVA-NeXT, of which very many are shrunk.

Its processor for videos needs torchvision, which nothing here does; transformers loads the two
together or not at all, so where torchvision is missing photos get a processor of their own.
"""

from __future__ import annotations

from transformers import (
    AutoProcessor,
    AutoTokenizer,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionProcessor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.utils.import_utils import is_torchvision_available

from mmflow_bench.checkpoints.aliases import Json, Processor
from mmflow_bench.checkpoints.families.llava_next import anyres_layout
from mmflow_bench.checkpoints.families.record import Converted, Family, OriginalImages
from mmflow_bench.checkpoints.sources import Source, read_json


class OnevisionPhotos(LlavaOnevisionProcessor):
    """OneVision's processor, which takes photos only."""

    def check_argument_for_proper_class(self, argument_name: str, argument: object) -> object:
        """As for every processor, and nothing at all for videos."""
        if argument_name == "video_processor" and argument is None:
            return type(None)
        return super().check_argument_for_proper_class(argument_name, argument)


def _read_processor(source: Source, config: PretrainedConfig, where: Json) -> Processor:
    if is_torchvision_available():
        return AutoProcessor.from_pretrained(source.name, config=config, **where)
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


def _settings(images: OriginalImages) -> Json:
    return {
        "image_grid_pinpoints": images.pinpoints,
        "vision_aspect_ratio": images.aspect_ratio,
        # Videos are not measured; the id must not be that of a word.
        "video_token_index": images.image_token_id + 1,
    }


def _processor(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, tower: Json
) -> OnevisionPhotos:
    side = tower["crop_size"]["height"]
    # Tiles are squeezed to the tower's square: there is no shortest edge, and nothing to crop.
    tower = {key: value for key, value in tower.items() if key != "crop_size"}
    tower["size"] = {"height": side, "width": side}
    return OnevisionPhotos(
        image_processor=LlavaOnevisionImageProcessorPil(
            image_grid_pinpoints=config.image_grid_pinpoints, **tower
        ),
        tokenizer=tokenizer,
        num_image_tokens=(side // config.vision_config.patch_size) ** 2,
        vision_feature_select_strategy=config.vision_feature_select_strategy,
        vision_aspect_ratio=config.vision_aspect_ratio,
        chat_template=tokenizer.chat_template,
    )


LLAVA_ONEVISION = Family(
    name="llava_onevision",
    model_types=("llava_onevision",),
    layout=anyres_layout,
    processor=_read_processor,
    tiles=LlavaOnevisionImageProcessorPil,
    converted=Converted(
        aspect_ratios=r"anyres_max_\d+",
        config=LlavaOnevisionConfig,
        model=LlavaOnevisionForConditionalGeneration,
        settings=_settings,
        processor=_processor,
    ),
)

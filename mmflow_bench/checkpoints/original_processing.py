"""Processors for checkpoints of the original LLaVA format, which come with a tokenizer at most.

Images are processed with PIL, whose results are those of the original programs to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import (
    AddedToken,
    AutoTokenizer,
    LlavaNextProcessor,
    LlavaProcessor,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)
from transformers.image_processing_backends import PilBackend
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from mmflow_bench.checkpoints.onevision import OnevisionPhotos
from mmflow_bench.checkpoints.sentencepiece import VOCABULARY, sentencepiece_tokenizer
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.errors import CheckpointError

IMAGE_TOKEN = "<image>"
_TOKENIZERS = ("tokenizer.json", VOCABULARY, "vocab.json")
_SIGLIP_MEAN = [0.5, 0.5, 0.5]


def original_tokenizer(
    folders: Sequence[Path], text: PretrainedConfig, **where: Any
) -> PreTrainedTokenizerBase:
    """The tokenizer of the first folder that has one, with a token for images.

    Args:
        folders: The checkpoint, then its base.
        text: Configuration of the language model.
        where: What transformers is told about the source.

    Raises:
        CheckpointError: None has one.
    """
    folder = next((f for f in folders if any((f / name).is_file() for name in _TOKENIZERS)), None)
    if folder is None:
        raise CheckpointError(
            f"a tokenizer in one of {', '.join(_TOKENIZERS)}, got none "
            f"({', '.join(map(str, folders))}); copy it from the language model"
        )
    tokenizer: PreTrainedTokenizerBase
    if (folder / "tokenizer.json").is_file():
        # As the file says: the class that the configuration names would build another one from the
        # words in it.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    elif (folder / VOCABULARY).is_file():
        tokenizer = sentencepiece_tokenizer(folder)
    else:
        tokenizer = AutoTokenizer.from_pretrained(folder, config=text, **where)
    # The original programs put a number that is no token where the image goes.
    tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)])
    return tokenizer


def original_processor(
    tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, tower: Path | None
) -> Any:
    """The processor of a converted model.

    Args:
        tokenizer: With a token for images.
        config: Of the converted model, with the original's `image_aspect_ratio`.
        tower: The vision tower's folder, whose settings count; those of the published towers where
            there is none or it has no `preprocessor_config.json`.
    """
    images = _image_settings(config.vision_config, tower)
    strategy = config.vision_feature_select_strategy
    patch_size = config.vision_config.patch_size
    template = tokenizer.chat_template
    if config.model_type == "llava_onevision":
        images["size"] = images.pop("crop_size")
        return OnevisionPhotos(
            image_processor=LlavaOnevisionImageProcessorPil(
                image_grid_pinpoints=config.image_grid_pinpoints, **images
            ),
            tokenizer=tokenizer,
            num_image_tokens=(images["size"]["height"] // patch_size) ** 2,
            vision_feature_select_strategy=strategy,
            vision_aspect_ratio=config.vision_aspect_ratio,
            chat_template=template,
        )
    has_class = not isinstance(config.vision_config, SiglipVisionConfig)
    common = {
        "tokenizer": tokenizer,
        "patch_size": patch_size,
        "vision_feature_select_strategy": strategy,
        "num_additional_image_tokens": int(has_class),
        "chat_template": template,
    }
    processor: PilBackend
    if config.model_type == "llava_next":
        processor = LlavaNextImageProcessorPil(
            image_grid_pinpoints=config.image_grid_pinpoints, **images
        )
        return LlavaNextProcessor(image_processor=processor, **common)
    if config.image_aspect_ratio == "pad":
        processor = LlavaImageProcessorPil(do_pad=True, **images)
    else:
        processor = CLIPImageProcessorPil(**images)
    return LlavaProcessor(image_processor=processor, **common)


def _image_settings(vision: PretrainedConfig, tower: Path | None) -> dict[str, Any]:
    """Size, normalisation and resampling filter of the tower's own processor."""
    side = vision.image_size
    settings: dict[str, Any] = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
    }
    if isinstance(vision, SiglipVisionConfig):
        settings |= {"image_mean": _SIGLIP_MEAN, "image_std": _SIGLIP_MEAN}
    path = None if tower is None else tower / "preprocessor_config.json"
    if path is None or not path.is_file():
        return settings
    own = read_json(path)
    kept = ("image_mean", "image_std", "rescale_factor", "resample", "do_normalize", "do_rescale")
    return settings | {key: own[key] for key in kept if own.get(key) is not None}

"""Pixels as the paper's program makes them: PIL's bicubic filter, padding or tiles.

transformers' PIL processors, set as here, give the same numbers as LLaVA's `process_images` to the
bit; its torch processors do not, and the settings that checkpoints are published with neither pad
nor choose among tied image grids as the original does.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from torch import Tensor
from transformers import CLIPVisionConfig
from transformers.image_utils import PILImageResampling
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from mmflow_bench.checkpoints.aliases import ImageProcessor
from mmflow_bench.checkpoints.families.llava_next import tiled_tokens
from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import CheckpointError

_SETTINGS = (
    "size",
    "crop_size",
    "do_center_crop",
    "do_resize",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
)
"""Taken over from the checkpoint's processor: they are those of its vision tower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPixels:
    """One photo as the model takes it."""

    model_inputs: dict[str, Tensor]
    image_tokens: int
    """Positions that the model's own packing gives the photo."""
    image_processor: ImageProcessor


def published_pixels(checkpoint: LoadedCheckpoint, image: Image.Image) -> PublishedPixels:
    """A photo as the paper's program prepares it for this checkpoint.

    Padded to a square with the mean colour, or squeezed to one tile and cut into tiles, or neither,
    as the checkpoint's `image_aspect_ratio` says.

    Raises:
        CheckpointError: The checkpoint's kind of model does not take that.
    """
    processor = _processor(checkpoint)
    output = processor(images=image, return_tensors="pt")
    model_inputs = {name: value for name, value in output.items() if isinstance(value, Tensor)}
    return PublishedPixels(
        model_inputs=model_inputs,
        image_tokens=_image_tokens(checkpoint, image, model_inputs["pixel_values"]),
        image_processor=processor,
    )


def _processor(checkpoint: LoadedCheckpoint) -> ImageProcessor:
    own, config = checkpoint.processor.image_processor, checkpoint.model.config
    settings = {name: getattr(own, name, None) for name in _SETTINGS}
    # The published program resizes so, whatever the files of the checkpoint say.
    settings["resample"] = PILImageResampling.BICUBIC
    pinpoints = getattr(config, "image_grid_pinpoints", None)
    ratio = checkpoint.image_aspect_ratio
    if bool(pinpoints) != (ratio or "").startswith("anyres"):
        raise CheckpointError(
            f"an `image_aspect_ratio` that the model can take, got {ratio!r} for "
            f"{type(checkpoint.model).__name__} (checkpoint {checkpoint.spec.name}); correct "
            "config.json, or use --input=hub"
        )
    if not pinpoints:
        return LlavaImageProcessorPil(**settings, do_pad=ratio == "pad")
    return checkpoint.parts.family.tiles(**settings, image_grid_pinpoints=pinpoints)


def _image_tokens(checkpoint: LoadedCheckpoint, image: Image.Image, pixels: Tensor) -> int:
    config = checkpoint.model.config
    if pixels.ndim == 5:
        return tiled_tokens(config, width=image.width, height=image.height, side=pixels.shape[-1])
    patch_size = int(config.vision_config.patch_size)
    keeps_class_token = getattr(
        config, "vision_feature_select_strategy", "default"
    ) == "full" and isinstance(config.vision_config, CLIPVisionConfig)
    rows, columns = (int(length) // patch_size for length in pixels.shape[-2:])
    return rows * columns + int(keeps_class_token)

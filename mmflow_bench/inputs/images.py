"""Finding and opening images: by id in a folder, as RGB, refusing what cannot be read safely."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mmflow_bench.errors import ImageError
from mmflow_bench.inputs.samples import Sample

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".webp")
"""Tried in this order after an image id."""

# What Pillow's decoders raise on damaged files.
_DECODING_ERRORS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
)


def find_image(folder: Path, image_id: str) -> Path | None:
    """The file of an image id in a folder, with or without a suffix; None if there is none.

    An id that points out of the folder is not found: question files come from elsewhere.
    """
    for suffix in SUFFIXES:
        path = folder / f"{image_id}{suffix}"
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def open_image(sample: Sample) -> Image.Image:
    """The sample's image in RGB, in the orientation in which its pixels are stored.

    Rotation tags are ignored: boxes refer to the pixels as stored, and so do processors.

    Raises:
        ImageError: The image is missing (`missing-image`), cannot be decoded
            (`unreadable-image`), or is so large that decoding may exhaust memory
            (`image-too-large`).
    """
    image = sample.image
    if image is None:
        raise ImageError(
            f"an image, got a sample without one (sample {sample.question_id}, image "
            f"{sample.image_id}); give the folder of the images with --images=DIR",
            reason="missing-image",
        )
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if not image.is_file():
        raise missing_image(sample.question_id, sample.image_id, image)
    return _decoded(sample, image)


def missing_image(question_id: str, image_id: str, where: Path) -> ImageError:
    """The error for an image that is not where it should be."""
    tried = "/".join(suffix or "no suffix" for suffix in SUFFIXES)
    return ImageError(
        f"the image {image_id}, got no such file (sample {question_id}, {where}); check --images "
        f"and the file name ({tried})",
        reason="missing-image",
    )


def _decoded(sample: Sample, path: Path) -> Image.Image:
    try:
        # Pillow only warns about sizes up to twice its limit; decoding them takes gigabytes.
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return opened.convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"an image of at most {Image.MAX_IMAGE_PIXELS} pixels, got more (sample "
            f"{sample.question_id}, {path}: {error}); scale it down",
            reason="image-too-large",
        ) from error
    except _DECODING_ERRORS as error:
        raise ImageError(
            f"a readable image, got {type(error).__name__}: {error} (sample "
            f"{sample.question_id}, {path}); replace the file",
            reason="unreadable-image",
        ) from error

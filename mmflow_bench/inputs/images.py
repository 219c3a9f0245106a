"""Opening images: as RGB, refusing what cannot be read safely or without guessing."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmflow_bench.errors import ImageError
from mmflow_bench.inputs.samples import ImageFile, Sample

SUFFIXES = ("", ".jpg", ".jpeg", ".png", ".webp")
"""Tried in this order after an image id."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What photos come in. Pillow would also start Ghostscript on a file that looks like EPS."""

_DEPTH_16 = ("I;16", "I;16B", "I;16L", "I;16N")
_OF_UNKNOWN_RANGE = ("I", "F")

# What Pillow's decoders raise on damaged files.
_DECODING_ERRORS = (
    UnidentifiedImageError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    EOFError,
    struct.error,
    zlib.error,
)


def open_image(sample: Sample) -> Image.Image:
    """The sample's image in RGB, in the orientation in which its pixels are stored.

    Rotation tags are ignored: boxes refer to the pixels as stored, and so do processors. Of an
    animation it is the first frame; transparency is dropped, as the paper's program drops it.

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
        return _rgb(image)
    # A path is left to Pillow, which reads no more of it than it needs.
    if isinstance(image, Path):
        if not image.is_file():
            raise missing_image(sample.question_id, sample.image_id, str(image))
        return _decoded(sample, image, image)
    return _decoded(sample, image, io.BytesIO(_content(sample, image)))


def missing_image(question_id: str, image_id: str, where: str) -> ImageError:
    tried = "/".join(suffix or "no suffix" for suffix in SUFFIXES)
    return ImageError(
        f"the image {image_id}, got no such file (sample {question_id}, {where}); check --images "
        f"and the file name ({tried})",
        reason="missing-image",
    )


def _content(sample: Sample, image: ImageFile) -> bytes:
    try:
        return image.read_bytes()
    except FileNotFoundError as error:
        raise missing_image(sample.question_id, sample.image_id, str(image)) from error
    except OSError as error:
        raise _unreadable(sample, image, error) from error


def _decoded(sample: Sample, image: ImageFile, source: Path | io.BytesIO) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow only warns about sizes up to twice its limit; decoding them takes gigabytes.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Nor can a reader do anything about transparency that is given per palette entry.
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(source, formats=_FORMATS) as opened:
                return _rgb(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"an image of at most {Image.MAX_IMAGE_PIXELS} pixels, got more (sample "
            f"{sample.question_id}, {image}: {error}); scale it down",
            reason="image-too-large",
        ) from error
    except _DECODING_ERRORS as error:
        raise _unreadable(sample, image, error) from error


def _rgb(image: Image.Image) -> Image.Image:
    """The image in RGB; a ValueError if what is black and what is white cannot be told."""
    if image.mode in _DEPTH_16:
        # Pillow would cut 16-bit values off at 255, which leaves a white image.
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif image.mode in _OF_UNKNOWN_RANGE:
        raise ValueError(f"pixels of mode {image.mode!r} have no known range; save 8 bits")
    return image.convert("RGB")


def _unreadable(sample: Sample, image: ImageFile, error: Exception) -> ImageError:
    return ImageError(
        f"a readable image, got {type(error).__name__}: {error} (sample "
        f"{sample.question_id}, {image}); replace the file",
        reason="unreadable-image",
    )

"""What a sample is, as a hash: the same for the same texts, boxes and pixels, wherever they lie."""

from __future__ import annotations

import hashlib
import json

from PIL import Image

from mmflow_bench.inputs.samples import ImageFile, Sample


def sample_fingerprint(sample: Sample) -> str:
    """Hex sha256 of all that a sample says: texts, boxes and the content of its image.

    The place and name of the image file do not count; an image that cannot be read counts as none.
    """
    digest = hashlib.sha256()
    boxes = [(box.x, box.y, box.width, box.height) for box in sample.boxes]
    said: dict[str, object] = {
        name: getattr(sample, name)
        for name in Sample.__slots__
        if name not in ("image", "boxes", "object_names", "answers")
    }
    said |= {"boxes": boxes, "object_names": list(sample.object_names)}
    # Most samples have one answer; theirs is the hash of a record without further ones.
    if sample.answers:
        said |= {"answers": list(sample.answers)}
    digest.update(json.dumps(said, sort_keys=True, ensure_ascii=True).encode())
    digest.update(_image_content(sample.image))
    return digest.hexdigest()


def _image_content(image: Image.Image | ImageFile | None) -> bytes:
    # Content, not path: the same set in another folder is the same data.
    if image is None:
        return b""
    if isinstance(image, Image.Image):
        return f"{image.mode} {image.size}".encode() + image.tobytes()
    try:
        return image.read_bytes()
    except OSError:
        return b"unreadable"

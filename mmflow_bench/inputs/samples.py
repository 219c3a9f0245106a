"""The Sample record: one question about one image, as every later stage sees it.

Boxes and sizes are in pixels of the original image, origin at the top left. Nothing here knows a
tokenizer or a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from PIL import Image


class Task(StrEnum):
    """The six question forms of the paper (Table 1, arXiv:2411.18620)."""

    CHOOSE_ATTR = "ChooseAttr"
    CHOOSE_CAT = "ChooseCat"
    CHOOSE_REL = "ChooseRel"
    COMPARE_ATTR = "CompareAttr"
    LOGICAL_OBJ = "LogicalObj"
    QUERY_ATTR = "QueryAttr"


SIX_TASKS: tuple[str, ...] = tuple(task.value for task in Task)
OKVQA, A_OKVQA = VQA_TASKS = ("OKVQA", "A-OKVQA")
"""What the published files of these two sets become (App. H)."""
CHOOSE_TASKS: tuple[str, ...] = (Task.CHOOSE_ATTR, Task.CHOOSE_CAT, Task.CHOOSE_REL)
UNKNOWN_TASK = "unknown"
"""Under which a row is counted that does not say what it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An axis-aligned rectangle in pixels of the original image."""

    x: float
    """Left edge."""
    y: float
    """Top edge."""
    width: float
    """Extent to the right, positive."""
    height: float
    """Extent downwards, positive."""


@runtime_checkable
class ImageFile(Protocol):
    """An image that is opened when it is needed: a path, or a member of an archive.

    It crosses process boundaries, so it must pickle; its text names the place to a reader.
    """

    def read_bytes(self) -> bytes:
        """The encoded image; an OSError where there is none."""
        ...


class ImageSource:
    """A place that images are found in by their ids."""

    def find(self, image_id: str) -> ImageFile | None:
        """The image of an id, written with or without a suffix; None if there is none.

        Raises:
            ImageError: Two different images have this name (`ambiguous-image`).
        """
        raise NotImplementedError

    def at(self, path: str) -> ImageFile | None:  # noqa: ARG002 (not every source has paths)
        """The image at a path that a question file gives; None if there is none."""
        return None

    def prepare(self, image_ids: Collection[str]) -> None:
        """Fetch what is not at hand yet; called once the samples of a run are chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question with its reference answer and everything that positions are found from."""

    question_id: str
    """Unique within a question file."""
    image_id: str
    """Names the image; samples of one image form one cluster in every interval."""
    task: str
    """One of the six tasks, or a name of the user's own."""
    question: str
    """The question as it stands in the file, options included, instruction excluded."""
    answer: str
    """The reference answer."""
    answers: tuple[str, ...] = ()
    """Further answers that count as correct, such as those of other annotators."""
    true_option: str | None = None
    """The option that is the answer, as it stands in the question."""
    false_option: str | None = None
    """The other option, as it stands in the question."""
    object_names: tuple[str, ...] = ()
    """Names of the objects that the question asks about."""
    boxes: tuple[Box, ...] = ()
    """Boxes of those objects that have one."""
    image: Image.Image | ImageFile | None = None
    """The image itself or its file; None for a text-only sample."""
    image_width: int | None = None
    """Width that the boxes refer to, in pixels, where the file states it."""
    image_height: int | None = None
    """Height that the boxes refer to, in pixels, where the file states it."""
    caption: str | None = None
    """Dense captions that may stand in for the image (paper, App. G)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unscored:
    """A sample that was not measured, and why; it is counted and never silently dropped."""

    question_id: str
    image_id: str
    task: str
    reason: str
    """A short, stable word such as `option-not-in-question`."""
    message: str
    """The full error text for a reader."""


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

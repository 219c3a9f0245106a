"""Where images come from: a folder, a zip file, or a data set on the hub."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.archives import Archive
from mmflow_bench.inputs.hub_images import HUB, HubImages
from mmflow_bench.inputs.images import SUFFIXES
from mmflow_bench.inputs.samples import ImageFile


@runtime_checkable
class ImageSource(Protocol):
    """A place that images are found in by their ids."""

    def find(self, image_id: str) -> ImageFile | None:
        """The image of an id, written with or without a suffix; None if there is none.

        Raises:
            ImageError: Two different images have this name (`ambiguous-image`).
        """
        ...

    def at(self, path: str) -> ImageFile | None:
        """The image at a path that a question file gives; None if there is none."""
        ...

    def prepare(self, image_ids: Collection[str]) -> None:
        """Fetch what is not at hand yet; called once the samples of a run are chosen."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """Image files of one folder."""

    path: Path

    def find(self, image_id: str) -> Path | None:
        """The file of an id; an id that points out of the folder is not found."""
        return find_image(self.path, image_id)

    def at(self, path: str) -> Path | None:
        """The file at a path relative to the folder."""
        file = self.path / path
        return file if _is_file(file) else None

    def prepare(self, image_ids: Collection[str]) -> None:
        """Nothing: files are at hand."""

    def __str__(self) -> str:
        """The place, for messages."""
        return str(self.path)


def find_image(folder: Path, image_id: str) -> Path | None:
    """The file of an image id in a folder, with or without a suffix; None if there is none.

    An id that points out of the folder is not found: question files come from elsewhere.
    """
    for suffix in SUFFIXES:
        path = folder / f"{image_id}{suffix}"
        if _is_file(path) and path.resolve().is_relative_to(folder.resolve()):
            return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A name longer than the file system allows is the name of no file.
        return False


def image_source(images: Path | str, *, cache: Path, offline: bool = False) -> ImageSource:
    """The source that `--images` names.

    Args:
        images: A folder, a zip file, `hub`, or `hub:` with a data set and perhaps its
            configurations (`hub:OWNER/NAME:CONFIG,CONFIG`).
        cache: Folder that images from the hub are kept in.
        offline: Never ask the hub.

    Raises:
        QuestionError: It is none of them (`no-images`).
    """
    if str(images).split(":")[0] == HUB and not Path(images).exists():
        return HubImages.parse(str(images), cache=cache, offline=offline)
    path = Path(images)
    if path.is_dir():
        return Folder(path)
    if path.is_file():
        return Archive.open(path)
    raise QuestionError(
        f"a folder of images, a zip file or `hub`, got no such file ({path}); check --images",
        reason="no-images",
    )

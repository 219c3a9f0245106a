"""Where images come from: a folder, a zip file, or a data set on the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.archives import Archive
from mmflow_bench.inputs.hub_images import HUB, HubImages
from mmflow_bench.inputs.images import SUFFIXES
from mmflow_bench.inputs.samples import ImageSource


@dataclass(frozen=True, slots=True)
class Folder(ImageSource):
    """Image files of one folder."""

    path: Path

    def find(self, image_id: str) -> Path | None:
        """The file of an id; one that points out of the folder is not found."""
        # Question files come from elsewhere: an id must not reach what lies outside.
        for suffix in SUFFIXES:
            path = self.path / f"{image_id}{suffix}"
            if _is_file(path) and path.resolve().is_relative_to(self.path.resolve()):
                return path
        return None

    def at(self, path: str) -> Path | None:
        file = self.path / path
        return file if _is_file(file) else None

    def __str__(self) -> str:
        return str(self.path)


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

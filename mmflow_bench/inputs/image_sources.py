"""Where images come from: a folder, a zip file, or a data set on the hub.

Members of a zip file are read where they are. Nothing is extracted, so a member's path can lead
nowhere, and a member is refused before it is unpacked when it would be larger than any photo.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mmflow_bench.errors import ImageError, QuestionError
from mmflow_bench.inputs.hub_images import HUB, HubImages
from mmflow_bench.inputs.images import SUFFIXES
from mmflow_bench.inputs.samples import ImageSource

LARGEST_IMAGE = 256 * 2**20
"""Bytes; a photo beyond Pillow's limit of pixels has fewer."""

_READING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted, or a compression method that this Python lacks
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Folder(ImageSource):
    """Image files of one folder."""

    path: Path

    def find(self, image_id: str) -> Path | None:
        """The file of an id; one that points out of the folder is not found."""
        paths = (self.path / f"{image_id}{suffix}" for suffix in SUFFIXES)
        return next((path for path in paths if self._has(path)), None)

    def at(self, path: str) -> Path | None:
        """The file at a path, relative to the folder or as a whole; None for one outside."""
        file = self.path / path
        return file if self._has(file) else None

    def _has(self, file: Path) -> bool:
        # Question files come from elsewhere: neither id nor path must reach what lies outside. Of
        # the names that are tried most are of no file, and where links lead is slow to find out.
        return _is_file(file) and is_within(file, self.path)

    def __str__(self) -> str:
        return str(self.path)


def is_within(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, links followed; whether it is there is not asked."""
    try:
        return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))
    except ValueError:
        # A zero byte is in no path.
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name longer than the file system allows, or with a zero byte, is that of no file.
        return False


@dataclass(frozen=True, slots=True)
class ZipImage:
    """One member of a zip file; holds names only, so that it can be sent to another process."""

    archive: Path
    member: str

    def read_bytes(self) -> bytes:
        """The content of the member.

        Raises:
            FileNotFoundError: The archive no longer has it.
            OSError: It is damaged, encrypted or too large to be an image.
        """
        try:
            file = _opened(self.archive)
            info = file.getinfo(self.member)
            if info.file_size > LARGEST_IMAGE:
                raise OSError(f"{info.file_size} bytes, more than the {LARGEST_IMAGE} of an image")
            return file.read(info)
        except KeyError as error:
            raise FileNotFoundError(str(self)) from error
        except _READING_ERRORS as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        return f"{self.archive}:{self.member}"


@dataclass(frozen=True, slots=True)
class Archive(ImageSource):
    """The images of a zip file, by name."""

    path: Path
    names: Mapping[str, tuple[zipfile.ZipInfo, ...]]
    """File name without folders -> members."""

    @classmethod
    def open(cls, path: Path) -> Archive:
        """The index of a zip file, or a QuestionError (`no-images`)."""
        try:
            members = _opened(path).infolist()
        except (OSError, *_READING_ERRORS) as error:
            raise QuestionError(
                f"a folder of images or a zip file, got {error} ({path}); check --images",
                reason="no-images",
            ) from error
        names: dict[str, list[zipfile.ZipInfo]] = {}
        for member in members:
            place = PurePosixPath(member.filename)
            # macOS adds a hidden twin of every file.
            if not member.is_dir() and not place.name.startswith("."):
                names.setdefault(place.name, []).append(member)
        if not names:
            raise QuestionError(
                f"a zip file of images, got one without a file ({path}); check --images",
                reason="no-images",
            )
        return cls(path, {name: tuple(found) for name, found in names.items()})

    def find(self, image_id: str) -> ZipImage | None:
        """The member of an id, at any depth; an id with folders is matched from the end.

        Raises:
            ImageError: Members of this name differ (`ambiguous-image`).
        """
        *folders, name = PurePosixPath(image_id).parts or ("",)
        for suffix in SUFFIXES:
            members = [
                member
                for member in self.names.get(f"{name}{suffix}", ())
                if _folders(member)[-len(folders) :] == folders or not folders
            ]
            if len({(member.CRC, member.file_size) for member in members}) > 1:
                places = ", ".join(member.filename for member in members[:3])
                raise ImageError(
                    f"one image of the name {image_id!r}, got several that differ ({places} in "
                    f"{self.path}); write the folder into the image id, or remove one",
                    reason="ambiguous-image",
                )
            if members:
                return ZipImage(self.path, members[0].filename)
        return None

    def at(self, path: str) -> ZipImage | None:
        """The member at exactly this path."""
        members = self.names.get(PurePosixPath(path).name, ())
        return next((ZipImage(self.path, path) for m in members if m.filename == path), None)

    def __str__(self) -> str:
        return str(self.path)


def _folders(member: zipfile.ZipInfo) -> list[str]:
    return list(PurePosixPath(member.filename).parts[:-1])


def _opened(path: Path) -> zipfile.ZipFile:
    state = path.stat()
    # A file handle that a forked process shares with its parent shares its position too.
    return _opened_by(os.getpid(), path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _opened_by(_process: int, path: Path, _changed: int, _size: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


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

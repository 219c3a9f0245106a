"""Files that are complete or not there at all, and the words for what cannot be written."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmflow_bench.errors import MMFlowError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, whose file takes the place of `path` when the block has ended well.

    A reader of `path` finds the old file or the new one, never half of it. Folders are made where
    needed.

    Raises:
        FileExistsError: A device or a pipe lies there, which no file may take the place of.
        OSError: The system does not let the file be written.
    """
    if is_special(path):
        raise FileExistsError(errno.EEXIST, "a device or a pipe")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process's id keeps workers apart that write the same file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        # What stopped the writing, a full disk say, may also keep this from working.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file at once; text as UTF-8, with the same line ends on every system."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def is_special(path: Path) -> bool:
    """Whether a device, a pipe or a socket lies at `path`, by itself and not by a link."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode))


def try_writing(folder: Path) -> None:
    """Make a folder and write a byte into it, which is taken away again.

    Better refused now than after hours of measuring.

    Raises:
        OSError: The system does not let anything be written there.
    """
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    with replacing(probe) as temporary:
        temporary.write_bytes(b"0")
    probe.unlink()


def try_writing_file(path: Path) -> None:
    """Try that a file can be put at `path`; what lies there stays as it is.

    Raises:
        OSError: A folder, a device or a pipe lies there, or the system lets nothing be written
            beside it.
    """
    if is_special(path):
        raise FileExistsError(errno.EEXIST, "a device or a pipe")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    try_writing(path.parent)


@contextmanager
def refusing(
    error: type[MMFlowError], expected: str, place: Path, advice: str = ""
) -> Iterator[None]:
    """Say what the system refuses in the block as an error of a stage.

    Args:
        error: What is raised instead of an `OSError`.
        expected: What was expected, in domain words.
        place: The file or folder in question.
        advice: What to do, if there is something.
    """
    try:
        yield
    except OSError as wrong:
        end = f"; {advice}" if advice else ""
        raise error(f"{expected}, got {wrong.strerror or wrong} ({place}){end}") from wrong

"""Files that are complete or not there at all, JSON of others, and words for what is refused."""

from __future__ import annotations

import errno
import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmflow_bench.errors import MMFlowError


class NotAFile(OSError):
    """A folder, a pipe or a device stands where a file is expected."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, whose file takes the place of `path` when the block has ended well.

    A reader of `path` finds the old file or the new one, never half of it. Folders are made where
    needed.

    Raises:
        FileExistsError: A device or a pipe lies there, which no file may take the place of.
        OSError: It cannot be written; says so of `path`.
    """
    if is_special(path):
        raise FileExistsError(errno.EEXIST, "a device or a pipe")
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process's id keeps workers apart that write the same file at once.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        # What stopped the writing, a full disk say, may also keep this from working.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file at once; text as UTF-8, with the same line ends on every system.

    Raises:
        OSError: It cannot be written, or does not read as it was written.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as temporary:
        _write(temporary, data)
        # Not every disk says that it has kept less than it was given.
        if whole_file(temporary) != data:
            raise OSError(errno.EIO, "a file that does not read as it was written")


def whole_file(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        NotAFile: It is a folder, or a pipe that might never end.
        OSError: It cannot be read; says so of `path`.
    """
    require_file(path)
    try:
        return _read(path)
    except OSError as error:
        error.filename = str(path)
        raise


def require_file(path: Path) -> None:
    """Refuse what is no file before it is opened: a pipe would be waited for.

    Raises:
        NotAFile: It is a folder, a device or a pipe.
        OSError: There is nothing.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotAFile(errno.EINVAL, "a folder or a device", str(path))


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
    replace_file(probe, b"0")
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


LARGEST_JSON = 2**28
"""Bytes of a file; no run leaves a hundredth of it."""
LARGEST_NUMBER = 2**53
"""Of a file: no count and no measurement comes near it, and sums of what is below stay finite."""


def read_json(path: Path) -> object:
    """The value of a JSON file that somebody else may have written.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is no JSON in UTF-8, or holds a number or a nesting that nothing here writes:
            NaN, an infinity, one beyond `LARGEST_NUMBER`, more brackets than Python can follow.
    """
    if (size := path.stat().st_size) > LARGEST_JSON:
        raise ValueError(f"{size} bytes, more than the {LARGEST_JSON} of a file of results")
    return parsed_json(whole_file(path).decode())


def parsed_json(text: str) -> object:
    """The same of a text.

    >>> parsed_json('{"n": 1}')
    {'n': 1}
    """
    try:
        return json.loads(text, parse_constant=_number, parse_float=_number, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("brackets within brackets, too deep to be followed") from error


def _number(text: str) -> float:
    number = float(text)
    if not abs(number) <= LARGEST_NUMBER:
        raise ValueError(f"{text[:20]} where a number of at most {LARGEST_NUMBER} is expected")
    return number


def _whole(text: str) -> int:
    # Through a float first: Python converts no text of thousands of digits to a whole number.
    return int(text) if _number(text) else 0


@contextmanager
def refusing(
    error: type[MMFlowError],
    expected: str,
    place: Path,
    advice: str = "",
    but: type[OSError] | tuple[()] = (),
) -> Iterator[None]:
    """Say what the system refuses in the block as an error of a stage.

    Args:
        error: What is raised instead of an `OSError`.
        expected: What was expected, in domain words.
        place: The file or folder in question.
        advice: What to do, if there is something.
        but: What is raised as it is.
    """
    try:
        yield
    except but:
        raise
    except OSError as wrong:
        end = f"; {advice}" if advice else ""
        file = Path(str(wrong.filename or place))
        where = file if file.is_relative_to(place) else place
        raise error(f"{expected}, got {wrong.strerror or wrong} ({where}){end}") from wrong


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _read(path: Path) -> bytes:
    return path.read_bytes()

"""Files that are complete or not there at all, JSON of others, and words for what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmflow_bench.errors import MMFlowError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path, whose file takes the place of `path` when the block has ended well.

    A reader of `path` finds the old file or the new one, never half of it. Folders are made where
    needed.
    """
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
    return parsed_json(path.read_bytes().decode())


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

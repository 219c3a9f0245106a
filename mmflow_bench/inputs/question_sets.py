"""Which files `--questions` names: a set that ships with the package, a file, a folder, a pattern.

Nothing here reads a file: options are checked before anything is loaded.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.samples import Task
from mmflow_bench.inputs.vqa import okvqa_partner

SUFFIXES = (".csv", ".parquet", ".jsonl", ".ndjson", ".json")
"""Of question files; `.json` is told by what it holds."""

GQA = "gqa"
SHIPPED = {GQA: Path(__file__).parents[1] / "question_sets" / "gqa.parquet"}
"""Name -> file of the sets that ship with the package."""

SHIPPED_COUNTS: dict[str, dict[str, int]] = {
    GQA: {
        Task.CHOOSE_ATTR: 1000,
        Task.CHOOSE_CAT: 1000,
        Task.CHOOSE_REL: 964,
        Task.COMPARE_ATTR: 570,
        Task.LOGICAL_OBJ: 991,
        Task.QUERY_ATTR: 1000,
    }
}
"""Rows by task (paper, Table 1), for listings that must not open the file."""


def question_path(text: str, folder: Path) -> Path:
    """What `--questions` stands for: a shipped name, else a path relative to `folder`.

    A file of the same name in `folder`, or a folder with question files, wins over a shipped set.

    Raises:
        QuestionError: There is nothing of that name (`missing-file`).
    """
    path = folder / os.path.expanduser(text)
    try:
        question_files(path)
    except QuestionError:
        # GQA's images lie in a folder `gqa`, more often than not.
        if text not in SHIPPED:
            raise
        return SHIPPED[text]
    return path


def question_files(path: Path) -> tuple[Path, ...]:
    """The question files of a path: the file itself, those of a folder, or those of a pattern.

    Raises:
        QuestionError: There is none (`missing-file`).
    """
    # Unlike the methods of a path, these have an answer for a name that no file system takes.
    if os.path.isdir(path):
        found = _known(path.iterdir())
        expected = f"a folder with question files ({', '.join(SUFFIXES)})"
    elif os.path.exists(path) or not glob.has_magic(str(path)):
        found = (path,) if os.path.exists(path) else ()
        expected = f"a question file, a folder of them or one of {', '.join(SHIPPED)}"
    else:
        found = _known(map(Path, glob.glob(str(path))))
        expected = f"a pattern that matches question files ({', '.join(SUFFIXES)})"
    if not found:
        raise QuestionError(
            f"{expected}, got none ({path}); check --questions", reason="missing-file"
        )
    return found


def questions_fingerprint(path: Path) -> str:
    """Hex sha256 of a question file's bytes; of several files, of their hashes in order.

    Raises:
        QuestionError: A file cannot be read (`missing-file`).
    """
    files = [part for file in question_files(path) for part in _parts(file)]
    try:
        hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    except OSError as error:
        raise QuestionError(
            f"a question file, got {error.strerror or error} ({path}); check --questions",
            reason="missing-file",
        ) from error
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _known(paths: Iterable[Path]) -> tuple[Path, ...]:
    files = {path for path in paths if path.is_file() and path.suffix.lower() in SUFFIXES}
    # OKVQA comes in two files that are read as one.
    return tuple(sorted(f for f in files if not ("_annotations" in f.name and _parts(f)[1:])))


def _parts(file: Path) -> list[Path]:
    partner = okvqa_partner(file) if file.suffix.lower() == ".json" else None
    return [file, partner] if partner is not None and partner.is_file() else [file]

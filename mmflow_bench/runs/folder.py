"""The run folder: its files by name, and writing one of them. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from mmflow_bench.errors import StoreError
from mmflow_bench.files import read_json, refusing, replace_file, try_writing

RESULTS = "results.json"
MECHANISMS = "mechanisms.parquet"
SAMPLES = "samples.parquet"
PIECES = "pieces.parquet"
LENS = "lens.parquet"
SEMANTICS = "semantics.parquet"
REMOVAL = "removal.parquet"
QUESTIONS = "questions.parquet"
ANSWERS = "answers.parquet"


def writing(folder: Path) -> AbstractContextManager[None]:
    """A block that writes into a run folder; what the system refuses is a `StoreError`."""
    advice = "point --mmflow-output at another folder. Verdicts are as printed"
    return refusing(StoreError, "a run folder that can be written", folder, advice)


@contextmanager
def kept_back(lost: list[StoreError]) -> Iterator[None]:
    """A block whose `StoreError` becomes an entry of `lost`, so that what follows is written."""
    try:
        yield
    except StoreError as error:
        lost.append(error)


def require_writable(folder: Path) -> None:
    """Refuse a folder of run folders that nothing can be kept in, before anything is measured.

    Raises:
        StoreError: It cannot be made or written.
    """
    advice = "point --mmflow-output at another folder"
    with refusing(StoreError, "a folder for results that can be written", folder, advice):
        try_writing(folder)


def write_text(path: Path, text: str) -> None:
    """Write a file of the run folder, complete or not at all.

    Raises:
        StoreError: The folder cannot be written.
    """
    with writing(path.parent):
        replace_file(path, text)


def keep_out_of_git(folder: Path) -> None:
    """Make git ignore a folder of results that nobody has asked for by name.

    Raises:
        StoreError: The folder cannot be written.
    """
    if not (folder / ".gitignore").exists():
        write_text(folder / ".gitignore", "*\n")


def has_results(folder: Path) -> bool:
    # Path.is_file raises for a name that is longer than names of files may be.
    return os.path.isfile(folder / RESULTS)


def results_json(folder: Path) -> object:
    """The content of results.json, whatever it is.

    Raises:
        StoreError: There is no such file, or it is not JSON.
    """
    path = folder / RESULTS
    try:
        return read_json(path)
    except FileNotFoundError as error:
        raise StoreError(
            f"a run folder with {RESULTS}, got none ({folder}); give the folder that the run "
            "named at its end, such as .mmflow/runs/..."
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            f"a readable {RESULTS}, got {error} ({path}); the file is damaged, run again"
        ) from error

"""The folder of a store: made where there is none, taken over from before files had a seal."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mmflow_bench.files import replace_file
from mmflow_bench.store.damage import SetAside
from mmflow_bench.store.held import file_state
from mmflow_bench.store.locking import alone
from mmflow_bench.store.sealed import (
    identity_digest,
    parsed_record,
    read_record,
    seal_older,
    write_record,
)
from mmflow_bench.store.shards import Damaged

logger = logging.getLogger(__name__)

JOURNAL = "journal"
IDENTITY = "identity.json"
FACTS = "facts.json"
COMPACT = "compact.lock"
MARK = "sealed"
"""A file of stores all of whose files have a seal."""
_MARK_TEXT = "Every file of this store carries a seal of its content; one without is damaged.\n"


def make_store(
    folder: Path, identity: Mapping[str, object], set_aside: SetAside, *, is_foreign: bool
) -> bool:
    """Make a store, or complete the one that is there.

    Args:
        folder: Of this store alone.
        identity: What it is kept under.
        set_aside: For what is not as it must be.
        is_foreign: What `is_foreign` has said.

    Returns:
        Whether every file of it must have a seal.

    Raises:
        OSError: There is none and none can be made. One that is there may be read at least.
    """
    is_there = folder.is_dir()
    try:
        _make(folder, identity, set_aside)
        if not (folder / MARK).exists():
            with alone(folder / COMPACT):
                if not is_foreign:
                    _seal_older(folder, owner=identity_digest(identity))
                replace_file(folder / MARK, _MARK_TEXT)
    except OSError as error:
        if not is_there:
            raise
        logger.warning(
            "the store cannot be written, got %s (%s): what is in it is read, and can be no more",
            *(error.strerror or error, error.filename or folder),
        )
    return is_foreign or (folder / MARK).exists()


def _make(folder: Path, identity: Mapping[str, object], set_aside: SetAside) -> None:
    journal = folder / JOURNAL
    if journal.exists() and not journal.is_dir():
        set_aside(journal, file_state([journal]), Damaged("a folder, got a file"))
    journal.mkdir(parents=True, exist_ok=True)
    if not (folder / IDENTITY).exists():
        replace_file(folder / IDENTITY, json.dumps(identity, indent=1, sort_keys=True))


def is_foreign(folder: Path, identity: Mapping[str, object], set_aside: SetAside) -> bool:
    """Whether a folder says that it is of another identity; what it says wrongly is set aside.

    Then files without a seal are not to be taken over: nothing tells what they are of.

    Raises:
        OSError: The system cannot read what it says.
    """
    path, is_other = folder / IDENTITY, False
    try:
        state = file_state([path])
        try:
            known = parsed_record(path)
            if is_other := identity_digest(known) != identity_digest(identity):
                raise Damaged("the identity that the folder is named after, got another one")
        except Damaged as why:
            set_aside(path, state, why)
    except (FileNotFoundError, NotADirectoryError):
        pass  # There is no such folder.
    return is_other


def _seal_older(folder: Path, *, owner: str) -> None:
    """Give files that were written before there were seals theirs, as they are now."""
    for path in sorted([*folder.glob("*.parquet"), *folder.glob(f"{JOURNAL}/*.parquet")]):
        name = path.name.removesuffix(".parquet").partition("@")[0]
        seal_older(path, name=name, owner=owner)
    with suppress(FileNotFoundError, Damaged):
        facts = read_record(folder / FACTS, owner=owner, is_sealed=False)
        write_record(folder / FACTS, facts, owner=owner)

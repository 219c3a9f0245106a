"""The folder of a store: made where there is none, taken over from before files had a seal."""

from __future__ import annotations

import json
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

JOURNAL = "journal"
IDENTITY = "identity.json"
FACTS = "facts.json"
COMPACT = "compact.lock"
MARK = "sealed"
"""A file of stores all of whose files have a seal."""
_MARK_TEXT = "Every file of this store carries a seal of its content; one without is damaged.\n"


def open_store(folder: Path, identity: Mapping[str, object], set_aside: SetAside) -> bool:
    """Make a store, or look at the one that is there.

    Returns:
        Whether every file of it must have a seal.

    Raises:
        OSError: There is none and none can be made. One that is there may be read at least.
    """
    is_there = folder.is_dir()
    is_foreign = is_there and _is_foreign(folder / IDENTITY, identity, set_aside)
    try:
        _make(folder, identity, set_aside)
        if not (folder / MARK).exists():
            with alone(folder / COMPACT):
                if not is_foreign:
                    _seal_older(folder, owner=identity_digest(identity))
                replace_file(folder / MARK, _MARK_TEXT)
    except OSError:
        # Who may not write here, or has no room left, may still read.
        if not is_there:
            raise
    return is_foreign or (folder / MARK).exists()


def _make(folder: Path, identity: Mapping[str, object], set_aside: SetAside) -> None:
    journal = folder / JOURNAL
    if journal.exists() and not journal.is_dir():
        set_aside(journal, file_state([journal]), Damaged("a folder, got a file"))
    journal.mkdir(parents=True, exist_ok=True)
    if not (folder / IDENTITY).exists():
        replace_file(folder / IDENTITY, json.dumps(identity, indent=1, sort_keys=True))


def _is_foreign(path: Path, identity: Mapping[str, object], set_aside: SetAside) -> bool:
    """Whether the folder says that it is of another identity; what it says wrongly is set aside.

    Then files without a seal are not to be taken over: nothing tells what they are of.
    """
    is_foreign = False
    try:
        state = file_state([path])
        try:
            known = parsed_record(path)
            if is_foreign := identity_digest(known) != identity_digest(identity):
                raise Damaged("the identity that the folder is named after, got another one")
        except Damaged as why:
            set_aside(path, state, why)
    except FileNotFoundError:
        pass
    return is_foreign


def _seal_older(folder: Path, *, owner: str) -> None:
    """Give files that were written before there were seals theirs, as they are now."""
    for path in sorted([*folder.glob("*.parquet"), *folder.glob(f"{JOURNAL}/*.parquet")]):
        name = path.name.removesuffix(".parquet").partition("@")[0]
        seal_older(path, name=name, owner=owner)
    with suppress(FileNotFoundError, Damaged):
        facts = read_record(folder / FACTS, owner=owner, is_sealed=False)
        write_record(folder / FACTS, facts, owner=owner)

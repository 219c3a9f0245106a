"""Faults of disks and of people, for tests of what keeps files: seeded, each tells what it hit.

`faulty(kind, at, seed)` makes one operation of the package on its files go wrong: the `at`-th of
its kind. `harm(path, kind, seed)` does to a file at rest what happens to files at rest. And
`read_only()` takes the right to write, also from a user who may write anywhere.
"""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmflow_bench import files

WRITING = ("full", "broken", "short", "flipped", "nothing")
READING = ("unreadable", "flipped", "short")
MOVING = ("replace", "rename", "unlink")
FAULTS = (
    *(f"write-{kind}" for kind in WRITING),
    *(f"read-{kind}" for kind in READING),
    *(f"move-{kind}" for kind in MOVING),
)
"""Kinds of faults of a disk."""
_TEMPORARY = re.compile(r"^\.(.+)\.\d+\.tmp$")


@dataclass
class Fault:
    """One operation that goes wrong; `hit` is its file once it has."""

    kind: str
    at: int
    seed: int
    hit: Path | None = None
    count: int = field(default=0, repr=False)

    def is_due(self, path: Path) -> bool:
        self.count += 1
        if self.count <= self.at or self.hit is not None:
            return False
        named = _TEMPORARY.match(path.name)
        self.hit = path.with_name(named[1]) if named else path
        return True


@contextmanager
def faulty(kind: str, at: int = 0, seed: int = 0) -> Iterator[Fault]:
    """One of `FAULTS`, in the operation that `at` others of its kind have gone before."""
    fault, (group, _, name) = Fault(kind, at, seed), kind.partition("-")
    with ExitStack() as patches:
        if group == "move":
            patches.enter_context(patch.object(os, name, _moving(fault, getattr(os, name))))
        else:
            make, attribute = (_writing, "_write") if group == "write" else (_reading, "_read")
            plain = getattr(files, attribute)
            patches.enter_context(patch.object(files, attribute, make(fault, name, plain)))
        yield fault


def _writing(
    fault: Fault, name: str, write: Callable[[Path, bytes], None]
) -> Callable[[Path, bytes], None]:
    def written(path: Path, data: bytes) -> None:
        if not fault.is_due(path):
            write(path, data)
            return
        chance = random.Random(fault.seed)
        write(
            path, flipped(data, chance) if name == "flipped" else data[: _cut(name, data, chance)]
        )
        if name in ("full", "broken"):
            number = errno.ENOSPC if name == "full" else errno.EIO
            raise OSError(number, os.strerror(number))

    return written


def _reading(fault: Fault, name: str, read: Callable[[Path], bytes]) -> Callable[[Path], bytes]:
    def found(path: Path) -> bytes:
        if not fault.is_due(path):
            return read(path)
        if name == "unreadable":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        chance, data = random.Random(fault.seed), read(path)
        return flipped(data, chance) if name == "flipped" else data[: _cut(name, data, chance)]

    return found


def _moving(fault: Fault, move: Callable[..., None]) -> Callable[..., None]:
    def moved(source: Any, *others: Any, **how: Any) -> None:
        if fault.is_due(Path(str(source))):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(source))
        move(source, *others, **how)

    return moved


def _cut(name: str, data: bytes, chance: random.Random) -> int:
    return 0 if name == "nothing" or not data else chance.randrange(len(data))


def flipped(data: bytes, chance: random.Random) -> bytes:
    """The same bytes but for one bit."""
    if not data:
        return b"\0"
    place, changed = chance.randrange(len(data)), bytearray(data)
    changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


@contextmanager
def read_only() -> Iterator[None]:
    """Nothing can be written, made, moved or deleted, whoever the user is."""
    plain = os.open

    def opened(path: Any, flags: int, *others: Any, **how: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise _refused(path)
        return plain(path, flags, *others, **how)

    def refuse(path: Any, *_: Any, **__: Any) -> None:
        raise _refused(path)

    def mkdir(path: Any, *_: Any, **__: Any) -> None:
        if os.path.isdir(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        raise _refused(path)

    with ExitStack() as patches:
        for name in ("replace", "rename", "unlink", "remove", "rmdir"):
            patches.enter_context(patch.object(os, name, refuse))
        patches.enter_context(patch.object(os, "mkdir", mkdir))
        patches.enter_context(patch.object(os, "open", opened))
        patches.enter_context(patch.object(files, "_write", refuse))
        yield


def _refused(path: Any) -> OSError:
    return OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))


def _rows(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path, random.Random], None]:
    """Rows that somebody has edited, with all that stood in the file beside them."""

    def edit(path: Path, _: random.Random) -> None:
        file = pq.ParquetFile(path)
        table, kept = change(file.read()), file.metadata.metadata or {}
        with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata(kept)

    return edit


def _set(name: str, value: Callable[[pa.ChunkedArray], Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        place = table.column_names.index(name)
        one = table.schema.field(name)
        changed = pa.array(value(table[name].to_pylist()), one.type)
        return table.set_column(place, one, changed)

    return change


def _numbers(value: Callable[[list[float]], list[float]]) -> Callable[[pa.Table], pa.Table]:
    """A change of the first column of probabilities."""

    def change(table: pa.Table) -> pa.Table:
        name = next(name for name in table.column_names if name.endswith("probability"))
        return _set(name, value)(table)

    return change


def _bytes(
    change: Callable[[bytes, random.Random], bytes],
) -> Callable[[Path, random.Random], None]:
    return lambda path, chance: _put(path, change(path.read_bytes(), chance))


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _become_folder(path: Path, _: random.Random) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def _become_pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _become_another(path: Path, chance: random.Random) -> None:
    """Another file of the same folder under this name."""
    others = sorted(p for p in path.parent.glob("*.parquet") if p != path)
    if not others:
        _put(path, b"PAR1")
        return
    shutil.copy(chance.choice(others), path)


HARM: dict[str, Callable[[Path, random.Random], None]] = {
    "flipped": _bytes(flipped),
    "cut": _bytes(lambda data, chance: data[: chance.randrange(len(data))]),
    "empty": _bytes(lambda _, __: b""),
    "zeros": _bytes(lambda data, _: bytes(len(data))),
    "longer": _bytes(lambda data, chance: data + chance.randbytes(64)),
    "noise": _bytes(lambda data, chance: chance.randbytes(len(data))),
    "text": _bytes(lambda _, __: b"sample,layer\n"),
    "json": _bytes(lambda _, __: json.dumps([1, 2]).encode()),
    "folder": _become_folder,
    "pipe": _become_pipe,
    "another": _become_another,
}
"""What may happen to any file."""

EDITS: dict[str, Callable[[Path, random.Random], None]] = {
    "7.5": _rows(_numbers(lambda values: [7.5, *values[1:]])),
    "NaN": _rows(_numbers(lambda values: [*values[:-1], float("nan")])),
    "infinite": _rows(_numbers(lambda values: [*values[:-1], float("inf")])),
    "negative": _rows(_numbers(lambda values: [-0.1, *values[1:]])),
    "another number": _rows(_numbers(lambda values: [values[0] / 2 + 0.1, *values[1:]])),
    "reversed": _rows(_numbers(lambda values: values[::-1])),
    "without a row": _rows(lambda table: table.slice(1)),
    "without rows": _rows(lambda table: table.slice(0, 0)),
    "a row twice": _rows(lambda table: pa.concat_tables([table, table.slice(0, 1)])),
    "other order": _rows(lambda table: table.take(pa.array(range(len(table))[::-1]))),
    "other sample": _rows(_set("sample", lambda values: ["x", *values[1:]])),
    "a column less": _rows(lambda table: table.drop_columns(table.column_names[-1])),
    "a column more": _rows(lambda table: table.append_column("more", pa.nulls(len(table)))),
    "a column renamed": _rows(
        lambda table: table.rename_columns([*table.column_names[:-1], "renamed"])
    ),
    "other types": _rows(
        lambda table: pa.table(
            {
                name: pc.cast(table[name], pa.string())
                if pa.types.is_floating(table[name].type)
                else table[name]
                for name in table.column_names
            }
        )
    ),
}
"""What may be done to a Parquet file with a column of probabilities, its seal kept."""


def harm(path: Path, kind: str, seed: int = 0) -> None:
    """Do one of `HARM` or `EDITS` to a file; equal seeds do the same."""
    (HARM | EDITS)[kind](path, random.Random(seed))

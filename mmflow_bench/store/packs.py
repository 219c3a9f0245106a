"""Packs: what was measured in one go as one object, named by the hash of its bytes.

A pack holds a file for each shard, sealed as all files of a store are, and the facts of the
checkpoint. Equal names hold equal bytes, so that it does not matter who writes one, how often, or
what the time is there.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping

from mmflow_bench.store.shards import Damaged

_SUFFIX = ".pack"
_NAME = re.compile(r"[0-9a-f]{64}\.pack")
_FILE = re.compile(r"[^./\\@:\x00-\x1f][^/\\@:\x00-\x1f]{0,230}\.(parquet|json)")
"""A name that can be no path, and no hidden file."""
_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""Of the calendar of ZIP files: when a pack was made is not in it."""
MOST_BYTES = 2**31
"""Of what a pack holds: a run packs what it has measured in a minute or in one task."""


def packed(files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """A pack of some files: its name and its bytes."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _BEGINNING), content, zipfile.ZIP_DEFLATED)
    return _name_of(sink.getvalue()), sink.getvalue()


def is_pack(name: str) -> bool:
    """Whether an object or a file is named like a pack."""
    return _NAME.fullmatch(name) is not None


def unpacked(name: str, data: bytes) -> dict[str, bytes]:
    """The files of a pack, by name.

    Raises:
        Damaged: The bytes are not those that the name stands for, or no files of a store.
    """
    if _name_of(data) != name:
        raise Damaged("what was uploaded under this name, got other bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            for one in members:
                if not _FILE.fullmatch(one.filename):
                    raise Damaged(f"files of a store, got one named {one.filename[:80]!r}")
            if sum(one.file_size for one in members) > MOST_BYTES:
                raise Damaged(f"at most {MOST_BYTES} bytes of files, got more")
            return {one.filename: archive.read(one) for one in members}
    # What a ZIP file of arbitrary bytes may raise, by the documentation and by trying.
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise Damaged(f"a pack, got {str(error)[:200]}") from error


def _name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() + _SUFFIX

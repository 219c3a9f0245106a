"""Where the files of a checkpoint are: a folder, or a repository on the hub at one commit.

A folder may come from anywhere, so nothing in it is opened before it is known to be a file: a pipe
or a device would be read for ever. Links are followed for weights, which the hub's cache links to
and users keep on other disks; what such a link leads to is hashed as the file itself would be.
Everything else may end up in a message or a prompt, so its links lead to files of the folder or of
the hub's cache alone.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.hub import hub_answers
from mmflow_bench.checkpoints.released import RELEASED
from mmflow_bench.errors import CheckpointError
from mmflow_bench.names import hint

CONFIGURATION = (".json", ".jinja", ".model", ".txt", ".tiktoken", ".py")
"""Suffixes of the files beside the weights that a model reads."""
PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "non_lora_trainables.bin", "mm_projector.bin")
"""Weights that are not safetensors; only the first of them have a safetensors twin."""
_WEIGHTS = (".safetensors", ".bin", ".gguf")
BELOW = ("*_chat_templates/*.jinja", "*_tokenizer/*")
"""Files in folders below, beyond weights, that transformers reads."""
_LARGEST = 1 << 30
"""Bytes of a file beside the weights: three times the largest tokenizer there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One folder or hub repository."""

    name: str
    """Path or hub id."""
    is_hub: bool = False
    revision: str | None = None
    offline: bool = False

    @property
    def is_fetched(self) -> bool:
        """Whether files that are not on disk can be fetched."""
        return self.is_hub and not self.offline and hub_answers()

    def commit(self, file: str = "config.json") -> str:
        """The commit that the revision points to now, or did when last fetched.

        Raises:
            CheckpointError: The hub cannot be reached and nothing is on disk, or it does not know
                the checkpoint.
        """
        # .../snapshots/<commit>/<file>
        return self._downloaded(file).parent.name

    def file(self, name: str) -> Path | None:
        """A file of it, fetched if need be; None where there is none of that name."""
        if self.is_hub:
            try:
                return self._downloaded(name)
            except CheckpointError:
                return None
        path = Path(self.name) / name
        return path if path.is_file() else None

    def folder(self) -> Path:
        """All its files as a folder, fetched if need be: weights once, as safetensors if it can.

        Raises:
            CheckpointError: The hub cannot be reached, or does not know it.
        """
        if not self.is_hub:
            return Path(self.name)
        from huggingface_hub import snapshot_download

        patterns = [*(f"*{suffix}" for suffix in CONFIGURATION), *PICKLED[1:]]
        try:
            for weights in ("*.safetensors", PICKLED[0]):
                folder = snapshot_download(
                    self.name,
                    revision=self.revision,
                    allow_patterns=[*patterns, weights],
                    local_files_only=not self.is_fetched,
                )
                if any(Path(folder).glob("*.safetensors")):
                    break
        except (OSError, ValueError) as error:
            raise self._unreachable(error) from error
        return Path(folder)

    def _downloaded(self, file: str) -> Path:
        # Imported here: it costs as much as the rest of this stage, and only the hub needs it.
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        try:
            path = hf_hub_download(
                self.name, file, revision=self.revision, local_files_only=not self.is_fetched
            )
        # Connection errors, unknown repositories and revisions, and files not on disk are
        # OSErrors; a malformed id is a ValueError.
        except (OSError, ValueError, EntryNotFoundError) as error:
            raise self._unreachable(error) from error
        return Path(path)

    def _unreachable(self, error: Exception) -> CheckpointError:
        first_line = (str(error).strip().splitlines() or [""])[0]
        said = f"{type(error).__name__}: {first_line}"
        if self.offline:
            where = "on this machine"
        elif self.is_fetched:
            where = "on the hub or on this machine"
        else:
            where, said = "on this machine", "the hub cannot be reached from here"
        known = [name for entry in RELEASED for name, _ in entry.names()]
        return CheckpointError(
            f"a checkpoint {where}, got none for {self.name!r} (revision "
            f"{self.revision or 'main'}: {said}); check the spelling, or give the path of a folder"
            f"{hint(self.name, known)}"
        )


def folder_source(path: Path) -> Source:
    """A folder in which everything that a model reads is a file, and leads to no other's.

    Raises:
        CheckpointError: Something is a pipe, a device, a folder or a link to nowhere, or is a link
            out of the folder that is not allowed.
    """
    for entry in _entries(path):
        if entry.suffix not in (*CONFIGURATION, *_WEIGHTS):
            continue
        size = refuse_irregular(entry)
        if entry.suffix in CONFIGURATION:
            _refuse_link_out(path, entry)
            if size > _LARGEST:
                raise CheckpointError(
                    f"at most {_LARGEST >> 20} MB beside the weights, got {size >> 20} MB "
                    f"({entry}); save the checkpoint again"
                )
    return Source(name=str(path))


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
        for pattern in BELOW:
            yield from sorted(folder.glob(pattern))
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> CheckpointError:
    return CheckpointError(
        f"a readable checkpoint, got {error.strerror or error} ({error.filename}); check the "
        "permissions of the folder"
    )


def refuse_irregular(path: Path) -> int:
    """The size of a file, links followed, and 0 for none; a CheckpointError if it is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        if not path.is_symlink():
            return 0
        kind = "a link to nowhere"
    except OSError as error:
        raise unreadable(error) from error
    else:
        if stat.S_ISREG(status.st_mode):
            return status.st_size
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
    raise CheckpointError(
        f"a file, got {kind} ({path}); put the file itself in its place, or remove it"
    )


def _refuse_link_out(folder: Path, path: Path) -> None:
    if not path.is_symlink():
        return
    target = path.resolve()
    of_hub = target.parent.name == "blobs" and "--" in target.parent.parent.name
    if not of_hub and not target.is_relative_to(folder.resolve()):
        raise CheckpointError(
            f"a link to a file of the checkpoint, got one to {target} ({path}); only weights may "
            "lie elsewhere, so copy the file"
        )


def source_of(name: str, *, beside: Source, what: str) -> Source:
    """What a configuration or an argument names: a folder, else a hub id.

    A folder may be given from the root, from the current folder, from inside the checkpoint that
    names it, or from the folder that this is in, there by its last part alone as well.

    Args:
        name: Path or hub id.
        beside: The checkpoint that names it.
        what: For the message: `vision tower` or the like.

    Raises:
        CheckpointError: It is neither.
    """
    given = Path(os.path.expanduser(name))
    # A name from a file may be no path at all, or too long for one: both are nowhere.
    places = [given]
    if not given.is_absolute() and not beside.is_hub:
        folder = Path(beside.name)
        places = [folder / given, folder.parent / given, folder.parent / given.name, given]
    found = next((path for path in places if os.path.isdir(path)), None)
    if found is not None:
        return folder_source(found.resolve())
    parts = name.split("/")
    if len(parts) == 2 and all(parts) and name[0] not in "./~":
        return Source(name=name, is_hub=True, offline=beside.offline)
    raise CheckpointError(
        f"a folder or a hub id of the {what}, got {name!r}, which is not there (checkpoint "
        f"{beside.name}); correct the path, or name another: --model-args="
        f"{what.replace(' ', '_')}=PATH"
    )


def read_json(path: Path) -> Json:
    """The object in a JSON file, or a CheckpointError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"a JSON file, got {type(error).__name__}: {error} ({path}); check that the folder is "
            "complete"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"a JSON object, got {type(content).__name__} ({path}); check that the folder is "
            "complete"
        )
    return content

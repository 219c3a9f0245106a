"""Which files the weights of a folder are in: at its top, or where an index says.

Every byte that is loaded has to be in the fingerprint, so all readers ask here, and a name that an
index or a configuration gives leads nowhere but into the folder.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mmflow_bench.checkpoints.sources import Source, read_json, refuse_irregular
from mmflow_bench.errors import CheckpointError

ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_INDEX = ".index.json"
_WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Weights in one file, in the order in which transformers looks; each before its index."""
INDEXES: Mapping[str, str] = {f"{whole}{_INDEX}": Path(whole).suffix for whole in _WHOLE}
"""Index -> suffix of the files that it speaks of."""
_OTHER_NAME = "transformers_weights"
"""The key of `config.json` that names weights, or their index, in place of the usual ones."""
_HEADER = 64 << 20
"""Bytes, more than the names of any checkpoint take."""


def weight_files(folder: Path) -> list[Path]:
    """The files of the full weights: safetensors, or where there are none what torch pickled."""
    tensors = (path for path in folder.glob("*.safetensors") if path.name not in ADAPTER_WEIGHTS)
    return sorted(tensors) or sorted(folder.glob("pytorch_model*.bin"))


def every_weight_file(folder: Path) -> list[Path]:
    """The same, with all that transformers reads beyond them; what is not there is left out.

    That is what an index or the configuration names in a folder below, and pickled weights beside
    safetensors that are not of the model.

    Raises:
        CheckpointError: A name leads out of the folder, or to something that is no file.
    """
    source = Source(name=str(folder))
    more = [folder / name for name in [*_indexed(source), *loaded_names(source)]]
    usual = weight_files(folder)
    return [*usual, *sorted(path for path in {*more} - {*usual} if path.is_file())]


def loaded_names(source: Source) -> list[str]:
    """Names of the weights that transformers loads from a folder or repository.

    Raises:
        CheckpointError: An index is damaged, or a name leads out of the folder.
    """
    config = source.file("config.json")
    other = None if config is None else read_json(config).get(_OTHER_NAME)
    if other is not None:
        name = contained(source, other, "config.json")
        return indexed_names(source, name) if name.endswith(_INDEX) else [name]
    for whole in _WHOLE:
        if source.file(whole) is not None:
            return [whole]
        if source.file(f"{whole}{_INDEX}") is not None:
            return indexed_names(source, f"{whole}{_INDEX}")
    return []


def _indexed(source: Source) -> list[str]:
    found = (index for index in INDEXES if source.file(index) is not None)
    return [name for index in found for name in indexed_names(source, index)]


def indexed_names(source: Source, index: str) -> list[str]:
    """Every file that an index speaks of, once."""
    return sorted(set(weight_map(source, index).values()))


def weight_map(source: Source, index: str) -> dict[str, str]:
    """Tensor -> file, as an index has it; empty where there is no such index.

    Raises:
        CheckpointError: It is damaged, or a name leads out of the folder.
    """
    path = source.file(index)
    if path is None:
        return {}
    files = read_json(path).get("weight_map")
    if not isinstance(files, dict):
        raise CheckpointError(
            f"an index with tensors and their files under `weight_map`, got "
            f"{type(files).__name__} ({path}); save the checkpoint again"
        )
    # Each file once: an index has thousands of lines.
    for name in {repr(name): name for name in files.values()}.values():
        contained(source, name, index)
    return files


def contained(source: Source, name: object, named_in: str) -> str:
    """The name of a file of weights, if it leads to a file of the folder; else a CheckpointError.

    A link there may lead anywhere: the hub's cache is made of links, and large files are kept on
    other disks. What it leads to is hashed like any other file.
    """
    parts = PurePosixPath(str(name)).parts
    leaves = not parts or ".." in parts or parts[0] in ("/", "\\") or "\\" in str(name)
    if not isinstance(name, str) or leaves or not name.isprintable():
        raise CheckpointError(
            f"names of files inside the checkpoint, got {str(name)[:200]!r} ({named_in} of "
            f"{source.name}); put the weights into the folder and correct the name"
        )
    if not source.is_hub:
        refuse_irregular(Path(source.name) / name)
    return name


def header(path: Path) -> bytes:
    """The part of a file of weights that holds the names, unparsed; empty where it has none."""
    try:
        if path.suffix == ".safetensors":
            # Names stand first, behind their length; the gigabytes after them are not read.
            with open(path, "rb") as file:
                return file.read(min(int.from_bytes(file.read(8), "little"), _HEADER))
        if path.suffix == ".gguf":
            with open(path, "rb") as file:
                return file.read(_HEADER)
        with zipfile.ZipFile(path) as archive:
            index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(index) as file:
                return file.read(_HEADER)
    # A damaged file is refused by name when it is loaded.
    except (OSError, StopIteration, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        return b""

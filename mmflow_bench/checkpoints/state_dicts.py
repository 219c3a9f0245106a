"""Tensors as files hold them, under the names that the files give them.

Safetensors or what torch pickled (read with `weights_only`), whole or in shards. Every file that an
index speaks of must be there, whole, and hold what the index says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from mmflow_bench.checkpoints.sources import Source
from mmflow_bench.checkpoints.weight_files import INDEXES, weight_files, weight_map
from mmflow_bench.errors import CheckpointError

_SHARD = re.compile(r"-(\d+)-of-(\d+)\.")
_MOST_SHARDS = 99_999
"""What the five digits of the names that are written can say."""


def state_dict_of(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder.

    Raises:
        CheckpointError: There are none, a shard is missing or damaged, or a file holds code.
    """
    files = weight_files(folder)
    if not files:
        raise CheckpointError(
            f"weights in *.safetensors or pytorch_model*.bin, got none ({folder}); check that the "
            "folder is complete"
        )
    index = _index(folder, files)
    # Copies that no index speaks of are left alone.
    expected = set(index.values()) if index else _numbered(files)
    absent = sorted(name for name in expected if not (folder / name).is_file())
    if absent:
        raise CheckpointError(
            f"all {len(expected)} files of weights, got none of the name {', '.join(absent[:3])} "
            f"({folder}); fetch what is missing"
        )
    tensors: dict[str, Tensor] = {}
    for name in sorted(expected):
        tensors |= read_tensors(folder / name)
    lost = sorted(index.keys() - tensors.keys())
    if lost:
        raise CheckpointError(
            f"what the index says that the files hold, got no {', '.join(lost[:3])} ({folder}); "
            "save the checkpoint again"
        )
    return tensors


def _index(folder: Path, files: list[Path]) -> Mapping[str, str]:
    """Tensor -> file, where there is an index of the kind of file that is read."""
    source = Source(name=str(folder))
    kinds = [index for index, suffix in INDEXES.items() if files[0].suffix == suffix]
    return next((found for index in kinds if (found := weight_map(source, index))), {})


def _numbered(files: list[Path]) -> set[str]:
    """Names of all shards of a set whose file names say how many there are."""
    expected = set()
    for path in files:
        match = _SHARD.search(path.name)
        if match is None:
            expected.add(path.name)
            continue
        number, total = match.groups()
        if len(total) > len(str(_MOST_SHARDS)):
            raise CheckpointError(
                f"at most {_MOST_SHARDS} files of weights, got one of {total[:20]} ({path}); "
                "give it the name model.safetensors if it holds all of them"
            )
        before, after = path.name[: match.start()], path.name[match.end() :]
        for shard in range(1, int(total) + 1):
            expected.add(f"{before}-{shard:0{len(number)}d}-of-{total}.{after}")
    return expected


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one file, on the CPU and left on the disk until they are used.

    Raises:
        CheckpointError: The file is damaged, or holds code or anything else but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Mapped into memory where the format allows: whole checkpoints need not fit twice.
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=is_zipfile(path) or None
        )
    except UnpicklingError as error:
        raise CheckpointError(
            f"weights and nothing else, got pickled code or a damaged file ({path}); save them as "
            "safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError) as error:
        message = " ".join(str(error).split())
        raise CheckpointError(
            f"a whole file of weights, got {type(error).__name__}: {message[:200]} ({path}); "
            "fetch it again"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(
            f"a file of tensors by name, got {type(content).__name__} ({path}); save it with "
            "`save_pretrained`"
        )
    return {str(name): tensor for name, tensor in content.items()}

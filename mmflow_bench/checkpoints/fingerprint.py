"""What makes two checkpoints the same: a hash of their content, computed without torch.

The store files every measurement under it, so it covers all that may move a number: weights,
configuration, tokenizer, processor, chat template and any code that the checkpoint brings along.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from mmflow_bench.checkpoints.ingredients import (
    ADAPTER_CONFIG,
    PROJECTOR,
    TRAINED_BESIDE,
    ingredients_of,
)
from mmflow_bench.checkpoints.sources import BELOW, CONFIGURATION, unreadable
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.weight_files import ADAPTER_WEIGHTS, every_weight_file
from mmflow_bench.errors import CheckpointError

_OF_A_BUILDER = (".py", ".json", ".safetensors")
# What trainers leave beside a model.
_NOT_READ_BY_A_MODEL = {"trainer_state.json", "all_results.json", "train_results.json"}


def fingerprint(spec: CheckpointSpec) -> str:
    """Hex sha256 of everything that the checkpoint is made of.

    A folder is hashed by content, a hub checkpoint by the commit that its revision points to, a
    built one by the source code that builds it and the versions that run it.

    Raises:
        CheckpointError: A file cannot be read or is none, weights are named that lie elsewhere, the
            builder's source is not there, or the hub does not know the revision.
    """
    parts = _sources(spec) if spec.kind == "built" else list(_ingredients(spec))
    if spec.template is not None:
        path = Path(spec.template)
        parts.append(f"template:{file_hash(path) if path.is_file() else spec.template}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _ingredients(spec: CheckpointSpec) -> Iterable[str]:
    """Lines for the checkpoint itself, then for every other part that it is put together from."""
    for role, source in ingredients_of(spec).all():
        prefix = "" if role == "main" else f"{role}:"
        if source.is_hub:
            has_config = source.file("config.json") is not None
            described = spec.gguf_file or ("config.json" if has_config else ADAPTER_CONFIG)
            yield f"{prefix}hub:{source.name}@{source.commit(described)}:{spec.gguf_file}"
        else:
            yield from (prefix + part for part in _folder_parts(Path(source.name), spec))


def _folder_parts(folder: Path, spec: CheckpointSpec) -> list[str]:
    try:
        return [f"{name}:{file_hash(path)}" for name, path in _folder_files(folder, spec)]
    except OSError as error:
        raise unreadable(error) from error


def _folder_files(folder: Path, spec: CheckpointSpec) -> Iterable[tuple[str, Path]]:
    """Everything that is read of a folder, under the names that it is known by."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    read = [
        path
        for path in files
        if path.suffix in CONFIGURATION and path.name not in _NOT_READ_BY_A_MODEL
    ]
    for path in [*read, *sorted(folder.glob(BELOW[0]))]:
        yield path.name, path
    tensors = [] if spec.gguf_file is not None else every_weight_file(folder)
    below = [path for path in tensors if path.parent != folder]
    below += sorted(path for pattern in BELOW[1:] for path in folder.glob(pattern))
    if spec.trust_remote_code:
        below += sorted(path for path in folder.rglob("*.py") if path.parent != folder)
    yield from ((path.relative_to(folder).as_posix(), path) for path in below if path.is_file())
    if spec.gguf_file is not None:
        yield spec.gguf_file, folder / spec.gguf_file
        return
    tensors = [path for path in tensors if path.parent == folder]
    tensors += [path for path in files if path.name in (TRAINED_BESIDE, PROJECTOR)]
    tensors += [path for path in files if path.name in ADAPTER_WEIGHTS]
    yield from ((path.name, path) for path in tensors)


def file_hash(path: Path) -> str:
    """Hex sha256 of a file's content, read once per process as long as it does not change."""
    status = path.stat()
    return _file_hash(str(path.resolve()), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_hash(path: str, size: int, modified: int) -> str:  # noqa: ARG001 (part of the key)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sources(spec: CheckpointSpec) -> list[str]:
    """One line per file of the packages that build the model and its samples, and more."""
    modules = [target.partition(":")[0] for target in (spec.builder, spec.questions) if target]
    files = {path for module in modules for path in _package_files(module)}
    return [
        f"source:{spec.source}",
        *(f"{path.parent.name}/{path.name}:{file_hash(path)}" for path in sorted(files)),
        # What is not on the disk these draw and compute.
        *(f"{name}=={_version(name)}" for name in ("torch", "transformers", "mmflow-bench")),
    ]


def _package_files(module: str) -> Iterable[Path]:
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise CheckpointError(
            f"an importable builder, got none under {module!r}; reinstall the package that "
            "registers this model"
        )
    origin = Path(found.origin)
    if "." not in module:
        return [origin]
    # A builder may import any of its neighbours, and read what lies beside them.
    return (path for path in origin.parent.rglob("*") if path.suffix in _OF_A_BUILDER)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"

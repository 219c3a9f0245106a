"""Whether a configuration can be of the weights that lie beside it, told before a model is built.

A model of a billion layers is built for ever, and one of a billion words fills any memory. Layers
have a number that no model exceeds, and what the files hold bounds the rest: a parameter takes at
least a byte, or an eighth of one where weights are quantised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.sources import Source, read_json
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.trial import tried
from mmflow_bench.checkpoints.weight_files import contained, header, loaded_names
from mmflow_bench.errors import CheckpointError

_COUNT = re.compile(
    r"(^|_)(n|num)_.*(layer|block|expert|stage|level|label)s?(_|$)|layers?$|^depths?$"
)
_MOST = 1024
"""Layers, experts and the like that no model exceeds."""
_LABELS = 1 << 16
"""Classes that a configuration makes names for, one by one."""
_GGUF_COUNT = re.compile(rb"\.((?:block|expert)_count)([\x04\x05\x0a\x0b]\0\0\0)(.{8})", re.DOTALL)
"""Key, kind of the number and the number, as GGUF files have them: of four or eight bytes."""
_GGUF_BLOCK = re.compile(rb"blk\.(\d{1,9})\.")
_PER_BYTE = 8
"""Parameters of quantised weights, at the most."""
_SPARE = 2
"""What is a little too large is refused later, by the names of the weights that do not fit."""
_SMALL = 1 << 24
"""Parameters that any machine has memory for: the same holds for them."""
_BUFFERS = 1 << 28
"""Numbers that a model may compute from its configuration, whatever its size."""
_SAY = "config.json does not describe these weights, so save the two together"
_DESCRIBING = ("config.json", "tokenizer_config.json", "processor_config.json")


def weights_on_disk(source: Source, gguf_file: str | None) -> list[Path]:
    """The files that transformers will load, fetched if need be.

    Raises:
        CheckpointError: A name leads out of the folder, to what is no file, or to nothing.
        SafetensorError: A file is damaged.
    """
    names = loaded_names(source) if gguf_file is None else [contained(source, gguf_file, "GGUF")]
    found = {name: source.file(name) for name in names}
    absent = sorted(name for name, path in found.items() if path is None)
    if absent:
        raise CheckpointError(
            f"all {len(names)} files of weights, got none of the name "
            f"{', '.join(absent[:3])[:200]} ({source.name}); fetch what is missing"
        )
    files = [path for path in found.values() if path is not None]
    for path in files:
        if path.suffix == ".safetensors":
            # Says whether the file is whole, from what stands at its beginning.
            safe_open(path, framework="pt")
    return files


def refuse_endless(config: Json, files: Sequence[Path]) -> None:
    """Refuse more layers, experts or the like than there can be, by a CheckpointError."""
    for path in files:
        if path.suffix == ".gguf":
            _refuse_other_depth(path)
    for key, count in [*_counts(config), *_gguf_counts(files)]:
        most = _LABELS if key == "num_labels" else _MOST
        if count > most:
            raise CheckpointError(
                f"at most {most} layers, experts or the like, got {key} = {str(count)[:20]} "
                f"({files[0].parent if files else 'config.json'}); {_SAY}"
            )


def _refuse_other_depth(path: Path) -> None:
    """Refuse a GGUF file that counts other blocks than it holds: the rest would be left out."""
    names = header(path)
    held = 1 + max((int(number) for number in set(_GGUF_BLOCK.findall(names))), default=-1)
    said = [count for key, count in _gguf_counts([path]) if key == "block_count"]
    if said and said[0] != held:
        raise CheckpointError(
            f"weights of {said[0]} blocks, as the file says, got {held} ({path}); convert the "
            "checkpoint again"
        )


def _counts(content: object) -> Iterator[tuple[str, float]]:
    """Every number in a configuration that a loop may run to."""
    waiting = [content]
    while waiting:
        content = waiting.pop()
        if isinstance(content, list):
            waiting += content
            continue
        for key, value in content.items() if isinstance(content, dict) else ():
            waiting.append(value)
            numbers = value if isinstance(value, list) else [value]
            if _COUNT.search(str(key)):
                yield from ((str(key), n) for n in numbers if isinstance(n, int | float))


def _gguf_counts(files: Sequence[Path]) -> Iterator[tuple[str, int]]:
    for path in files:
        if path.suffix == ".gguf":
            for key, kind, number in _GGUF_COUNT.findall(header(path)):
                size = 4 if kind[0] in (4, 5) else 8
                yield key.decode(), int.from_bytes(number[:size], "little")


def refuse_oversized(
    build: Callable[[], PreTrainedModel], spec: CheckpointSpec, *, held: int, of: str
) -> None:
    """Refuse a configuration of more parameters than the files can hold, by a CheckpointError.

    Args:
        build: Gives the model; it is called in a process of its own, on a device without memory.
        spec: Of the checkpoint.
        held: What the files hold: their bytes, or their numbers.
        of: `bytes` or `numbers`.
    """
    where = f"checkpoint {spec.name}"
    expected = "a configuration of a model that can be built"
    found = tried(lambda: _size(build), expected=expected, where=where, advice=_SAY)
    per_byte = _PER_BYTE if found["is_quantised"] or spec.gguf_file is not None else 1
    most = max(held * (per_byte if of == "bytes" else _SPARE), _SMALL)
    if found["parameters"] > most or found["buffers"] > max(most, _BUFFERS):
        raise CheckpointError(
            f"a model of at most {most} parameters, as there are {held} {of} of weights, got "
            f"{max(found['parameters'], found['buffers'])}, with {found['largest']} ({where}); "
            f"{_SAY}"
        )


def _size(build: Callable[[], PreTrainedModel]) -> dict[str, Any]:
    with torch.device("meta"):
        model = build()
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    everything = parameters | buffers
    largest = max(everything, key=lambda name: everything[name].numel())
    return {
        "parameters": sum(tensor.numel() for tensor in parameters.values()),
        "buffers": sum(tensor.numel() for tensor in buffers.values()),
        "largest": f"{largest} of the shape {tuple(everything[largest].shape)}",
        "is_quantised": hasattr(model.config, "quantization_config"),
    }


def refuse_code_from_elsewhere(source: Source) -> None:
    """Refuse code of another repository, which no fingerprint covers, by a CheckpointError."""
    for name in _DESCRIBING:
        path = source.file(name)
        named = {} if path is None else read_json(path).get("auto_map")
        if "--" in str(named):
            raise CheckpointError(
                f"code beside the weights, got an `auto_map` that names another repository: "
                f"{str(named)[:200]} ({name} of {source.name}); copy its files into the checkpoint"
            )

"""Which names stand for checkpoints, and what a name, folder or hub id resolves to.

Nothing here imports torch, transformers or numpy: the command line lists models at once. Other
packages add their own through the entry-point group `mmflow_bench.models`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

DEFAULT_MODEL = "planted/base"
ENTRY_POINT_GROUP = "mmflow_bench.models"

_MODEL_ARGS = ("dtype", "gguf_file", "revision", "template")
_DTYPES = ("auto", "bfloat16", "float16", "float32")
_PLANTED: dict[str, Any] = {
    "builder": "mmflow_bench.planted.models:build",
    "questions": "mmflow_bench.scenes.questions:scene_samples",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """A name that `--model` knows."""

    name: str
    description: str
    source: str | None = None
    """A folder or hub id; the name itself for built ones."""
    builder: str | None = None
    """`package.module:function`, called with the name, that gives (model, processor)."""
    questions: str | None = None
    """`package.module:function` that gives the checkpoint's own samples."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """Mechanism id, or `id[Task]`, -> the verdict that is expected instead of `holds`."""
    paper_model: str | None = None
    """The model of the paper whose published numbers apply."""
    conversation: str | None = None
    """Conversation template of the paper's input, which is then the default."""


_PAPER_MODEL = "llava-1.5-13b"
_OWN = (
    RegistryEntry(
        name="planted/base",
        description="LLaVA whose weights are written to the paper's flow: 40 layers",
        paper_model=_PAPER_MODEL,
        **_PLANTED,
    ),
    RegistryEntry(
        name="planted/mini",
        description="the same construction in 12 layers, for tests",
        **_PLANTED,
    ),
    RegistryEntry(
        name="planted/grouped-query",
        description="the same in 32 layers whose heads share keys and values",
        **_PLANTED,
    ),
)
_OWN_SCENES = {"tiled": {"questions": "mmflow_bench.scenes.questions:tiled_scene_samples"}}
# The base with one thing changed: the numbers that the paper reports are asked of it as well.
_VARIANTS = {
    "no-stage-1": "the image's context reaches the question through a line break",
    "no-stage-2": "what is asked about reaches the question through a line break",
    "single-stage": "objects are looked up in layer 0 already",
    "swapped": "objects are looked up before the context is read",
    "late-stage-2": "objects are looked up in layer 22",
    "stage-1-related": "the first stage reads the objects that are asked about too",
    "stage-2-from-other": "the second stage reads the rest of the image too",
    "direct": "the last position reads the image, the question carries nothing",
    "image-last-too": "a fifth of the flow goes straight to the last position",
    "suffix-readout": "the last position reads the question through the suffix",
    "early-question-last": "the last position reads the question in layers 12 to 14",
    "order-reversed": "the last position reads the question before objects are looked up",
    "self-loop": "the last position must attend to itself",
    "no-lower": "the answer is capitalised from the start, which is early",
    "lower-kept": "the lower-case answer stays probable to the end",
    "upper-early": "the capitalised answer shows in the first half",
    "lens-mode": "the final norm hides the lower-case answer: raw and normed lens disagree",
    "direct-capital": "the answer comes late and capitalised, as in Llama3-LLaVA-NeXT",
    "suffix-bypass": "57% of the flow to the last position goes through the suffix",
    "true-false-option": "the false option speaks against the answer",
    "false-option-first": "for some layers the other option is taken for the answer",
    "sink-trap": "the question rests its attention on the image and reads nothing there",
    "backup-head": "a second head reads the context where the first one could not",
    "dose-hard": "any patch of the wallpaper is as good as all",
    "dose-linear": "every patch of the wallpaper adds its share",
    "prune-safe": "late layers attend to the image and make no use of it",
    "prune-unsafe": "only late layers read the image",
    "rotated": "no dimension has a meaning of its own, and noise is written beside the circuit",
    "trained": "rotated, with noise on all weights and trained until it answers again",
    "tiled": "images are cut into a varying number of tiles, as LLaVA-NeXT does",
    "module-codebook": "what attention and MLP say at the question is known word by word",
}


def registered_models() -> dict[str, RegistryEntry]:
    """Name -> entry, of this package and of every package that registers models.

    Raises:
        CheckpointError: A package registers something that is no entry.
    """
    models = {entry.name: entry for entry in (*_OWN, *_variants())}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        for entry in _entries(point.load(), point.value):
            models.setdefault(entry.name, entry)
    return models


def _variants() -> Iterable[RegistryEntry]:
    for name, description in _VARIANTS.items():
        yield RegistryEntry(
            name=f"planted/{name}",
            description=f"planted/base, but {description}",
            paper_model=_PAPER_MODEL,
            **_PLANTED | _OWN_SCENES.get(name, {}),
        )


def _entries(value: Any, origin: str) -> Iterable[RegistryEntry]:
    given = value() if callable(value) else value
    entries = [given] if isinstance(given, RegistryEntry) else list(given)
    for entry in entries:
        if not isinstance(entry, RegistryEntry):
            raise CheckpointError(
                f"a RegistryEntry, or a function that returns a list of them, got "
                f"{type(entry).__name__} (entry point {origin}); correct that package"
            )
    return entries


def resolve_checkpoint(
    name_or_path: str,
    *,
    model_args: Mapping[str, str] | None = None,
    device: str = "cpu",
    offline: bool = False,
    trust_remote_code: bool = False,
    input_choice: str | None = None,
) -> CheckpointSpec:
    """The checkpoint that a registered name, a folder, a GGUF file or a hub id stands for.

    Args:
        name_or_path: A registered name wins over a folder of the same name.
        model_args: `dtype`, `gguf_file`, `revision`, `template`, as typed.
        device: As torch spells it.
        offline: Never ask a hub.
        trust_remote_code: Run code that the checkpoint brings along.
        input_choice: `paper` or `hub`; None is the paper's for the checkpoints that it is about.

    Raises:
        CheckpointError: The name is not known, the folder holds no checkpoint, or a model
            argument is not one.
    """
    args = _checked_args(model_args or {})
    common: dict[str, Any] = {
        **args,
        "name": name_or_path,
        "model_args": dict(args),
        "device": device,
        "offline": offline,
        "trust_remote_code": trust_remote_code,
    }
    if input_choice is not None:
        common["input"] = input_choice
    models = registered_models()
    entry = models.get(name_or_path)
    if entry is None:
        return CheckpointSpec(**common | _located(name_or_path, args, models))
    common |= {
        "exceptions": entry.exceptions,
        "paper_model": entry.paper_model,
        "questions": entry.questions,
        "conversation": entry.conversation,
    }
    if input_choice is None and entry.conversation is not None:
        common["input"] = "paper"
    if entry.builder is not None:
        return CheckpointSpec(
            **common, source=entry.source or entry.name, kind="built", builder=entry.builder
        )
    return CheckpointSpec(**common | _located(entry.source or entry.name, args, models))


def _checked_args(args: Mapping[str, str]) -> dict[str, str]:
    for key in args:
        if key not in _MODEL_ARGS:
            raise CheckpointError(
                f"a model argument among {', '.join(_MODEL_ARGS)}, got {key!r} (--model-args)"
                f"{_closest(key, _MODEL_ARGS)}; write key=value"
            )
    if "dtype" in args and args["dtype"] not in _DTYPES:
        raise CheckpointError(
            f"dtype among {', '.join(_DTYPES)}, got {args['dtype']!r} (--model-args)"
            f"{_closest(args['dtype'], _DTYPES)}; write dtype=float32"
        )
    return dict(args)


def _located(
    name: str, args: Mapping[str, str], models: Mapping[str, RegistryEntry]
) -> dict[str, Any]:
    path = Path(name).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return {"source": str(path.parent.resolve()), "kind": "folder", "gguf_file": path.name}
    if path.exists():
        return _folder(path, args.get("gguf_file"))
    is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith((".", "~"))
    families = {known.split("/")[0] for known in models if "/" in known}
    if is_hub_id and name.split("/")[0] not in families:
        return {"source": name, "kind": "hub"}
    raise CheckpointError(
        f"a registered name ({', '.join(sorted(models))}), a folder or a hub id, got {name!r}"
        f"{_closest(name, models)}; `mmflow ls models` lists the names"
    )


def _folder(path: Path, gguf_file: str | None) -> dict[str, Any]:
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    weights = [name for name in names if name.endswith(".gguf")]
    located = {"source": str(path.resolve()), "kind": "folder", "gguf_file": gguf_file}
    if gguf_file is not None and gguf_file not in names:
        raise _no_checkpoint(path, names, f"the GGUF file {gguf_file}")
    if "config.json" in names or gguf_file is not None:
        return located
    if len(weights) == 1:
        return located | {"gguf_file": weights[0]}
    if weights:
        raise _no_checkpoint(path, weights, "one GGUF file, or --model-args=gguf_file=NAME")
    raise _no_checkpoint(path, names, "a folder with config.json, or with one *.gguf file")


def _no_checkpoint(path: Path, names: list[str], expected: str) -> CheckpointError:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    found = ", ".join(names[:8]) + more if path.is_dir() else "a file"
    return CheckpointError(
        f"{expected}, got {found or 'an empty folder'} ({path}); give the folder that "
        "`save_pretrained` wrote"
    )


def _closest(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", closest is {matches[0]!r}" if matches else ""

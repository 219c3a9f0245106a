"""Which names stand for checkpoints, and what a name, folder or hub id resolves to.

Nothing here imports torch, transformers or numpy: the command line lists models at once. Other
packages add their own through the entry-point group `mmflow_bench.models`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path

from mmflow_bench.checkpoints.additions import MODELS, added
from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.recognising import is_original, known_conversation
from mmflow_bench.checkpoints.foreign import foreign
from mmflow_bench.checkpoints.ingredients import ADAPTER_CONFIG, config_of, ingredients_of
from mmflow_bench.checkpoints.model_args import checked_args, identifying, refuse_unused
from mmflow_bench.checkpoints.released import RELEASED, RegistryEntry
from mmflow_bench.checkpoints.spec import CheckpointSpec, Described, InputChoice
from mmflow_bench.errors import CheckpointError

_LONGEST_NAME, _MOST_NEAR = 200, 3

_PLANTED: Json = {
    "builder": "mmflow_bench.planted.models:build",
    "questions": "mmflow_bench.scenes.questions:scene_samples",
}
_OF_THE_PAPER: Json = _PLANTED | {"paper_model": "llava-1.5-13b"}
_CONSTRUCTIONS = {
    "base": "LLaVA whose weights are written to the paper's flow: 40 layers",
    "mini": "the same construction in 12 layers, for tests",
    "grouped-query": "the same in 32 layers whose heads share keys and values",
}
_CAPTIONS = {"questions": "mmflow_bench.scenes.captions:caption_samples"}
_DESCRIBED: Json = {"questions": "mmflow_bench.scenes.descriptions:described_scene_samples"}
_TILED: Json = {"questions": "mmflow_bench.scenes.questions:tiled_scene_samples"}
_OWN_SCENES = {
    "tiled": _TILED,
    "row-ends": _TILED,
    "sentence-from-image": _DESCRIBED,
    "sentence-from-question": _DESCRIBED,
    "padding-read": {"questions": "mmflow_bench.scenes.letterbox:letterbox_scene_samples"},
}
# The base with one thing changed: the numbers that the paper reports are asked of it as well.
_VARIANTS = {
    "no-stage-1": "the image's context reaches the question through a line break",
    "no-stage-2": "what is asked about reaches the question through a line break",
    "single-stage": "objects are looked up in layer 0 already",
    **{
        f"one-transfer-{layer}": f"context and objects are both read in layer {layer}"
        for layer in (2, 3, 4, 6)
    },
    "two-transfers-0-8": "objects are looked up in layer 8, less than a window later",
    "two-transfers-2-14": "the context is read in layer 2, objects in layer 14",
    "two-transfers-3-14": "the context is read in layer 3, objects in layer 14",
    "swapped": "objects are looked up before the context is read",
    "late-stage-2": "objects are looked up in layer 22",
    "stage-1-related": "the first stage reads the objects that are asked about too",
    "stage-2-from-other": "the second stage reads the rest of the image too",
    "direct": "the last position reads the image, the question carries nothing",
    "image-last-too": "a fifth of the flow goes straight to the last position",
    "suffix-readout": "the last position reads the question through the suffix",
    "early-question-last": "the last position reads the question in layers 12 to 14",
    "order-reversed": "the last position reads the question before objects are looked up",
    "middle-readout": "the last position reads the question in layers 15 to 29 alone",
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
    "background-places": "the background says where things are, beside the objects themselves",
    "question-parts": "options, objects and other words are read apart, each for what it knows",
    "two-pieces": "capitalised answers are two pieces, each read from the question",
    "pieces-by-rote": "capitalised answers are two pieces, the second known from the first",
    "sentence-from-image": "answers are sentences, whose words read the image themselves",
    "sentence-from-question": "answers are sentences, whose words read it from the question",
    "sinks-idle": "a patch of outstanding norm and a massive one say nothing",
    "tower-sink-read": "the context is read from the patch of outstanding norm alone",
    "decoder-sink-read": "the context is read from the massive patch alone",
    "padding-read": "the context is read from patches that show padding alone",
    "module-codebook": "what attention and MLP say at the question is known word by word",
    "layered-codebook": "what the question says is written layer by layer, mostly by MLPs",
    "attention-codebook": "what the question says is written layer by layer, mostly by attention",
    "growing-codebook": "what is written later at the question is more of what it says",
    "image-codebook": "what the question says is read of the image",
    "narrow-gate": "everything of the image passes the line break after it",
    "row-ends": "the rest of the image passes the ends of rows of tiles",
    "shared-heads": "four heads read the rest of the image, an equal part each",
    "late-image": "image states say more of their content once all have been read",
    "mixed-image": "patches are read for what they have read of other patches",
}
# In the place of the paper's other checkpoints: name -> whose, and what is different.
_AS_OTHERS = {
    "as-7b": ("llava-1.5-7b", "32 layers, and less by the first transfer"),
    "as-7b-sharp": ("llava-1.5-7b", "32 layers, and more by the first transfer"),
    "as-16-7b": ("llava-v1.6-vicuna-7b", "32 layers"),
    "as-16-7b-capital": ("llava-v1.6-vicuna-7b", "32 layers, and capitalised from the start"),
    "as-8b": ("llama3-llava-next-8b", "32 layers, shared keys, and capitalised from the start"),
    "as-8b-lower": ("llama3-llava-next-8b", "32 layers, shared keys, and lower case first"),
    "line-break": ("llama3-llava-next-8b", "32 layers, and answers begin with a line break"),
}
_TEXT_ONLY = {
    "text": "the last position reads captions in layers 2 to 7, the question in 14 to 23",
    "text-late-question": "the question is read in layers 31 to 37",
    "text-mid-caption": "captions are read in layers 14 to 17, the question in 20 to 29",
    "text-late-caption": "captions are read in layers 26 to 31",
}
_TRAINED = RegistryEntry(
    name="trained/gemma-scenes",
    description="LLaVA on Gemma 3 270M, trained on rendered scenes; needs the extra `real`",
    builder="mmflow_bench.learned.assembling:build",
    questions="mmflow_bench.scenes.questions:neutral_scene_samples",
)


def registered_models() -> dict[str, RegistryEntry]:
    """Name -> entry, of this package and of every package that registers models.

    Raises:
        CheckpointError: A package registers something that is no entry.
    """
    models = {entry.name: entry for entry in (*_planted(), _TRAINED, *RELEASED)}
    for entry in added(MODELS, RegistryEntry):
        # No package changes what a name of this one means.
        models.setdefault(entry.name, entry)
    return models


def _planted() -> Iterator[RegistryEntry]:
    for name, description in _CONSTRUCTIONS.items():
        # The paper's numbers are of 40 layers.
        settings = _OF_THE_PAPER if name == "base" else _PLANTED
        yield RegistryEntry(name=f"planted/{name}", description=description, **settings)
    for name, change in _VARIANTS.items():
        yield RegistryEntry(
            name=f"planted/{name}",
            description=f"planted/base, but {change}",
            **_OF_THE_PAPER | _OWN_SCENES.get(name, {}),
        )
    for name, (whose, change) in _AS_OTHERS.items():
        described = _PLANTED | {"paper_model": whose}
        description = f"planted/base in the place of {whose}, but {change}"
        yield RegistryEntry(name=f"planted/{name}", description=description, **described)
    for name, change in _TEXT_ONLY.items():
        described = _PLANTED | _CAPTIONS | {"paper_model": "vicuna-13b-v1.5"}
        description = f"captions in the image's place: {change}"
        yield RegistryEntry(name=f"planted/{name}", description=description, **described)


def resolve_checkpoint(
    name_or_path: str,
    *,
    model_args: Mapping[str, str] | None = None,
    device: str = "cpu",
    offline: bool = False,
    trust_remote_code: bool = False,
    input_choice: InputChoice | None = None,
) -> CheckpointSpec:
    """The checkpoint that a registered name, a folder, a GGUF file or a hub id stands for.

    Args:
        name_or_path: A registered name wins over a folder of the same name; a folder wins over a
            hub id.
        model_args: As typed; `model_args.MODEL_ARGS` are known.
        device: As torch spells it.
        offline: Never ask a hub.
        trust_remote_code: Run code that the checkpoint brings along.
        input_choice: `paper` or `hub`; None is the paper's for the checkpoints that it is about and
            for those of the original LLaVA format.

    Raises:
        CheckpointError: The name is not known, the folder holds no checkpoint, a model argument is
            not one, or the paper's input is asked for and its conversation template is not known.
    """
    args = checked_args(model_args or {})
    models = registered_models()
    found, source = _registered(name_or_path, models)
    # What is not registered is an entry that says nothing.
    entry = found or RegistryEntry(name=name_or_path, description="")
    described: Json = {field.name: getattr(entry, field.name) for field in fields(Described)}
    is_built = entry.builder is not None
    located = {"source": source, "kind": "built"} if is_built else _located(source, args, models)
    spec = CheckpointSpec(
        # An argument wins over what is registered, and the file that was named over both.
        **described | args | located,
        name=name_or_path,
        model_args=identifying(args),
        device=device,
        offline=offline,
        trust_remote_code=trust_remote_code,
        input=input_choice or ("hub" if entry.conversation is None else "paper"),
    )
    if is_built and spec.input == "paper" and spec.conversation is None:
        raise CheckpointError(
            f"a checkpoint with a conversation template, got {name_or_path!r}, which has none "
            "(--input=paper); leave out --input"
        )
    if not is_built and (found is None or spec.conversation is None):
        spec = replace(spec, **_input_of_unregistered(spec, input_choice))
    refuse_unused(args, spec)
    return spec


def _registered(name: str, models: Mapping[str, RegistryEntry]) -> tuple[RegistryEntry | None, str]:
    """The entry that a name, alias or hub id belongs to, and which source it means."""
    if name in models:
        return models[name], models[name].source or name
    known = {
        alias.lower(): (entry, source)
        # Reversed, so that the first of two entries with one alias wins.
        for entry in reversed(list(models.values()))
        for alias, source in entry.names()
    }
    found = known.get(name.lower())
    # What is on the disk may be anything, whatever its path looks like.
    if found is None or (found[1] == name and os.path.exists(name)):
        return None, name
    return found


def _input_of_unregistered(spec: CheckpointSpec, choice: str | None) -> Json:
    """Whose input it is measured on, and the conversation template of the paper's.

    Nothing of a registered checkpoint is taken over, whatever the folder is called.
    """
    if choice == "hub" or spec.gguf_file is not None:
        return {"input": choice or "hub"}
    if choice is None and spec.conversation is not None:
        choice = "paper"
    config = config_of(ingredients_of(spec).main) or {}
    with foreign("a configuration that can be read", f"config.json of {spec.name}", "correct it"):
        if choice is None:
            choice = "paper" if is_original(config) else "hub"
        if choice == "hub" or spec.conversation is not None:
            return {"input": choice}
        return {"input": choice, "conversation": known_conversation(config, spec.source)}


def _located(name: str, args: Mapping[str, str], models: Mapping[str, RegistryEntry]) -> Json:
    path = Path(os.path.expanduser(name))
    # Path.exists raises for a name that is longer than names of files may be.
    if os.path.isfile(path) and path.suffix == ".gguf":
        return {"source": str(path.parent.resolve()), "kind": "folder", "gguf_file": path.name}
    # No name at all would be the folder that one stands in.
    if name and os.path.exists(path):
        return _folder(path, args.get("gguf_file"))
    is_hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith((".", "~"))
    # `planted/typo` is a mistake, not the hub id of somebody called planted.
    families = {known.split("/")[0] for known in models if "/" in known}
    if is_hub_id and name.split("/")[0] not in families:
        return {"source": name, "kind": "hub"}
    if name.startswith((".", "/", "~")):
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise CheckpointError(
            f"the folder of a checkpoint, got {name!r}, which is not there"
            f"{_near(path.name, [*beside, *models])}"
        )
    raise CheckpointError(
        f"a registered name (`mmflow ls models` lists them), a folder or a hub id, got {name!r}"
        f"{_near(name, models)}"
    )


def _near(name: str, known: Iterable[str]) -> str:
    """The names that may have been meant, as the end of a message; nothing where none is close."""
    # Long names look like no other, and take long to be compared.
    found = get_close_matches(name[:_LONGEST_NAME], list(known), n=_MOST_NEAR, cutoff=0.6)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _folder(path: Path, gguf_file: str | None) -> Json:
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    weights = [name for name in names if name.endswith(".gguf")]
    located = {"source": str(path.resolve()), "kind": "folder", "gguf_file": gguf_file}
    if gguf_file is not None and gguf_file not in names:
        raise _no_checkpoint(path, names, f"the GGUF file {gguf_file}")
    if {"config.json", ADAPTER_CONFIG} & set(names) or gguf_file is not None:
        return located
    if len(weights) == 1:
        return located | {"gguf_file": weights[0]}
    if weights:
        raise _no_checkpoint(path, weights, "one GGUF file, or --model-args=gguf_file=NAME")
    raise _no_checkpoint(path, names, "a folder with config.json, an adapter or one *.gguf file")


def _no_checkpoint(path: Path, names: list[str], expected: str) -> CheckpointError:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    found = ", ".join(names[:8]) + more if path.is_dir() else "a file"
    return CheckpointError(
        f"{expected}, got {found or 'an empty folder'} ({path}); give the folder that "
        "`save_pretrained` wrote"
    )

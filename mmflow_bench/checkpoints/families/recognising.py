"""What a configuration is of: the one place where model types are compared.

The original programs look for words in a checkpoint's name, which a renamed fine-tune breaks. The
type of its decoder and the size of its vocabulary say the same of every published LLaVA; the name
is asked only where they leave a choice. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Protocol, TypeVar

from mmflow_bench.checkpoints.additions import FAMILIES, added, any_added
from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.families.decoders import DECODERS, Conversation, Decoder
from mmflow_bench.errors import CheckpointError

_UNREADABLE_ORIGINALS = ("llava_mpt", "llava_mixtral", "llava_gemma", "llava_phi")
"""Of the original format too, so that they are refused by name and not taken for something else."""
_LLAMA_2_WORDS = 32_000


class _Typed(Protocol):
    @property
    def model_types(self) -> tuple[str, ...]: ...


Record = TypeVar("Record", bound=_Typed)


def of_type(records: Iterable[Record], model_type: object) -> Iterator[Record]:
    return (record for record in records if model_type in record.model_types)


@cache
def added_decoders() -> tuple[Decoder, ...]:
    """Those of families that other packages register."""
    if not any_added(FAMILIES):
        return ()
    # Imported here: records need transformers, and without such a package nobody asks them.
    from mmflow_bench.checkpoints.families.record import Family

    return tuple(decoder for family in added(FAMILIES, Family) for decoder in family.decoders)


def is_original(config: Json) -> bool:
    """Whether a configuration is of the original LLaVA format.

    `llava` is the model type of the first original checkpoints and of converted ones, which keep
    what describes the language model in a part of its own.
    """
    if "text_config" in config or "vision_config" in config:
        return False
    model_type = config.get("model_type")
    if model_type == "llava":
        return any(str(key).startswith("mm_") for key in config)
    return model_type in _UNREADABLE_ORIGINALS or model_type in original_types()


def original_types() -> dict[str, str]:
    """Model type of the original format -> that of its decoder in transformers."""
    decoders = (*DECODERS, *added_decoders())
    return {kind: decoder.native for decoder in decoders for kind in decoder.original_types}


def native_decoder(config: Json) -> str:
    """The type that transformers gives an original checkpoint's decoder, or a CheckpointError."""
    known, model_type = original_types(), str(config.get("model_type"))
    if model_type not in known:
        raise CheckpointError(
            f"model_type among {', '.join(known)}, got {model_type!r} (config.json); convert the "
            "checkpoint to transformers' format"
        )
    return known[model_type]


def known_conversation(config: Json, name: str) -> str:
    """The template that a checkpoint was trained with.

    Both formats of configurations are read; the name is that of the folder or the hub id.

    Raises:
        CheckpointError: It cannot be told.
    """
    text = config.get("text_config") or config
    # Llama, with the words of Llama 2, is what a converted configuration leaves out.
    decoders = of_type((*DECODERS, *added_decoders()), text.get("model_type", "llama"))
    words = int(text.get("vocab_size", _LLAMA_2_WORDS))
    found = next((decoder for decoder in decoders if words in decoder.vocabulary), None)
    if found is None:
        raise CheckpointError(
            f"a checkpoint whose conversation template is known, got {name!r} with a decoder of "
            f"type {text.get('model_type', 'unknown')!r} and {text.get('vocab_size', 'unknown')} "
            "tokens (--input=paper); name it: --model-args=conversation="
            f"{'|'.join(conversations())}, or leave out --input=paper"
        )
    # Who owns a checkpoint, or where it lies, says nothing of its decoder.
    last = name.rstrip("/").rpartition("/")[2].lower()
    named = (other for word, other in found.unless_named.items() if word in last)
    return next(named, found.conversation)


def conversations() -> Mapping[str, Conversation]:
    return {d.conversation: d.template for d in (*DECODERS, *added_decoders())}


def conversation(name: str) -> Conversation:
    """The template of that name, or a CheckpointError."""
    known = conversations()
    if name in known:
        return known[name]
    closest = get_close_matches(name, known, n=1)
    raise CheckpointError(
        f"a conversation template among {', '.join(known)}, got {name!r}"
        f"{f', closest is {closest[0]!r}' if closest else ''}; correct the checkpoint's entry, or "
        "use --input=hub"
    )

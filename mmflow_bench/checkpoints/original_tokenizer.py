"""Tokenizers of checkpoints of the original LLaVA format.

The first ones come with a bare `tokenizer.model`, a protocol buffer of which three fields are read:
the pieces with their scores, the kind of model, and how text is normalised. The result is a fast
tokenizer with the ids of the SentencePiece library, and neither that nor protobuf is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import error as StructError
from struct import unpack
from typing import Any

from tokenizers import normalizers
from transformers import (
    AddedToken,
    AutoTokenizer,
    LlamaTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.tokenization_utils_base import generate_merges

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.checkpoints.sources import read_json
from mmflow_bench.errors import CheckpointError

VOCABULARY = "tokenizer.model"
IMAGE_TOKEN = "<image>"
_TOKENIZERS = ("tokenizer.json", VOCABULARY, "vocab.json")

_BPE = 2
_CONTROL = 3
_NAMED = ("unk_token", "bos_token", "eos_token", "pad_token")
_KEPT = ("add_bos_token", "add_eos_token", "chat_template", "model_max_length", "padding_side")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What is read of the file."""

    pieces: list[tuple[str, float, int]]
    """Text, score and type, in the order of ids."""
    is_bpe: bool
    is_prefixed: bool
    """Whether a space is put before every text."""
    is_plain: bool
    """Whether text is taken as it is."""


def original_tokenizer(
    folders: Sequence[Path], text: PretrainedConfig, *, trust_remote_code: bool
) -> PreTrainedTokenizerBase:
    """The tokenizer of the first folder that has one, with a token for images."""
    folder = next((f for f in folders if any((f / name).is_file() for name in _TOKENIZERS)), None)
    if folder is None:
        raise CheckpointError(
            f"a tokenizer in one of {', '.join(_TOKENIZERS)}, got none "
            f"({', '.join(map(str, folders))}); copy it from the language model"
        )
    tokenizer: PreTrainedTokenizerBase
    if (folder / "tokenizer.json").is_file():
        # As the file says: the class that the configuration names would build another one from the
        # words in it.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    elif (folder / VOCABULARY).is_file():
        tokenizer = sentencepiece_tokenizer(folder)
    else:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, config=text, trust_remote_code=trust_remote_code, local_files_only=True
        )
    # The original programs put a number that is no token where the image goes.
    tokenizer.add_tokens([AddedToken(IMAGE_TOKEN, normalized=False, special=True)])
    return tokenizer


def sentencepiece_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder with `tokenizer.model` and no `tokenizer.json`.

    Raises:
        CheckpointError: The file is damaged or of a kind that LLaVA's decoders do not have.
    """
    model = _read(folder / VOCABULARY)
    if not (model.is_bpe and model.is_plain):
        raise CheckpointError(
            "a SentencePiece model of byte pairs that takes text as it is, got another kind "
            f"({folder / VOCABULARY}); save the tokenizer as tokenizer.json"
        )
    settings = _settings(folder)
    vocabulary = {text: token_id for token_id, (text, _, _) in enumerate(model.pieces)}
    controls = {text for text, _, kind in model.pieces if kind == _CONTROL}
    scores = {text: score for text, score, _ in model.pieces if text not in controls}
    tokenizer = LlamaTokenizer(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, scores, controls),
        add_prefix_space=model.is_prefixed,
        **settings,
    )
    # The class puts a space before the first text only, and not where there is one: SentencePiece
    # knows no such exceptions.
    spaces = [normalizers.Replace(" ", "▁")]
    prefix = [normalizers.Prepend("▁")] if model.is_prefixed else []
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence([*prefix, *spaces])
    tokenizer.backend_tokenizer.pre_tokenizer = None
    _add_tokens(tokenizer, folder)
    return tokenizer


def _settings(folder: Path) -> Json:
    """Names of special tokens and the like; the defaults of Llama where the folder has none."""
    found: Json = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found |= read_json(folder / name)
    # Llama's tokenizers begin with a start token unless they are told otherwise.
    settings: Json = {"add_bos_token": True, "add_eos_token": False}
    settings |= {key: found[key] for key in _KEPT if found.get(key) is not None}
    for key in _NAMED:
        value = found.get(key)
        text = value.get("content") if isinstance(value, dict) else value
        if text:
            settings[key] = text
    return settings


def _add_tokens(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Tokens that were added after training, which must get the ids that the folder says."""
    added: dict[str, int] = {}
    special: dict[str, bool] = {}
    if (folder / "tokenizer_config.json").is_file():
        listed = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder") or {}
        added |= {token["content"]: int(token_id) for token_id, token in listed.items()}
        special |= {token["content"]: bool(token["special"]) for token in listed.values()}
    if (folder / "added_tokens.json").is_file():
        added |= {token: int(i) for token, i in read_json(folder / "added_tokens.json").items()}
    for token, token_id in sorted(added.items(), key=lambda pair: pair[1]):
        is_special = special.get(token, True)
        tokenizer.add_tokens([AddedToken(token, normalized=False, special=is_special)])
        got = tokenizer.convert_tokens_to_ids(token)
        if got != token_id:
            raise CheckpointError(
                f"token {token!r} with the id {token_id}, got {got} ({folder}); the vocabulary and "
                "the list of added tokens do not belong together"
            )


def _read(path: Path) -> _Model:
    try:
        content = path.read_bytes()
        fields = list(_fields(content))
        pieces = [_piece(value) for number, value in fields if number == 1]
        trainer = dict(next((_fields(v) for n, v in fields if n == 2), iter(())))
        normalizer = dict(next((_fields(v) for n, v in fields if n == 3), iter(())))
    except (OSError, ValueError, LookupError, TypeError, StructError) as error:
        raise CheckpointError(
            f"a SentencePiece model, got {type(error).__name__}: {error} ({path}); fetch it again"
        ) from error
    if not pieces:
        raise CheckpointError(f"a SentencePiece model, got no pieces ({path}); fetch it again")
    return _Model(
        pieces=pieces,
        # Numbers and defaults are those of sentencepiece_model.proto.
        is_bpe=trainer.get(3, 1) == _BPE,
        is_prefixed=bool(normalizer.get(3, 1)),
        is_plain=not normalizer.get(2) and not normalizer.get(4, 1),
    )


def _piece(content: bytes) -> tuple[str, float, int]:
    values = dict(_fields(content))
    (score,) = unpack("<f", values.get(2, b"\0\0\0\0"))
    return values[1].decode("utf-8"), score, values.get(3, 1)


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of one message: integers, or bytes of known length."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, position = _varint(content, position)
            yield number, value
            continue
        if kind == 2:
            length, position = _varint(content, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"no field of the kind {kind} is defined")
        if position + length > len(content):
            raise ValueError("the file ends in the middle of a field")
        yield number, content[position : position + length]
        position += length


def _varint(content: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = content[position]
        result |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return result, position

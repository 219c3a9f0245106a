"""A bare `tokenizer.model`, written field by field, gives the ids that its scores define."""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from original_llava import sentencepiece_like_tokenizer

from mmflow_bench.checkpoints.original_tokenizer import sentencepiece_tokenizer
from mmflow_bench.errors import CheckpointError

TEXTS = [
    "What color is the cup, red or blue?",
    "\nWhat  is  the   box?",
    "  leading and trailing  ",
    "über 猫 \t tab",
    "",
    "ASSISTANT:",
]


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def content(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def model_file(*, kind: int = 2, prefixed: bool = True, plain: bool = True) -> bytes:
    vocabulary = sentencepiece_like_tokenizer().get_vocab()
    pieces = b""
    for text, token_id in sorted(vocabulary.items(), key=lambda pair: pair[1]):
        score = struct.pack("<f", float(-max(0, token_id - 259)))
        types = {0: 2, 1: 3, 2: 3} | dict.fromkeys(range(3, 259), 6)
        piece = content(1, text.encode()) + varint(2 << 3 | 5) + score
        pieces += content(1, piece + number(3, types.get(token_id, 1)))
    normalizer = content(1, b"identity") + number(3, prefixed) + number(4, not plain)
    return pieces + content(2, number(3, kind) + number(35, 1)) + content(3, normalizer)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("tokenizer.model").write_bytes(model_file())
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "legacy": False}
    tmp_path.joinpath("tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


def ids_by_definition(text: str) -> list[int]:
    """SentencePiece's byte pairs: of all neighbours, join those that make the best piece."""
    vocabulary = sentencepiece_like_tokenizer().get_vocab()
    pieces = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        joined = [first + second for first, second in pairwise(pieces)]
        known = [index for index, piece in enumerate(joined) if vocabulary.get(piece, 0) > 258]
        if not known:
            break
        # The score of a piece is minus its place; of equals the first is joined.
        best = min(known, key=lambda index: (vocabulary[joined[index]], index))
        pieces[best : best + 2] = [joined[best]]
    ids = [1]
    for piece in pieces:
        single_bytes = [vocabulary[f"<0x{byte:02X}>"] for byte in piece.encode()]
        ids += [vocabulary[piece]] if piece in vocabulary else single_bytes
    return ids


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_that_the_scores_define(folder: Path, text: str) -> None:
    tokenizer = sentencepiece_tokenizer(folder)
    assert tokenizer.is_fast
    assert tokenizer(text).input_ids == ids_by_definition(text)
    pairs = tokenizer(text, return_offsets_mapping=True).offset_mapping
    assert all(0 <= start <= end <= len(text) for start, end in pairs)


def test_no_space_comes_first_where_the_file_says_so(folder: Path) -> None:
    before = sentencepiece_tokenizer(folder).tokenize("What")
    (folder / "tokenizer.model").write_bytes(model_file(prefixed=False))
    assert before[0].startswith("▁")
    assert not sentencepiece_tokenizer(folder).tokenize("What")[0].startswith("▁")


def test_added_tokens_get_the_ids_that_the_folder_says(folder: Path) -> None:
    size = len(sentencepiece_tokenizer(folder))
    added = folder / "added_tokens.json"
    added.write_text(json.dumps({"<im_patch>": size, "[PAD]": size + 1}))
    tokenizer = sentencepiece_tokenizer(folder)
    assert tokenizer.convert_tokens_to_ids(["<im_patch>", "[PAD]"]) == [size, size + 1]
    added.write_text(json.dumps({"<im_patch>": size + 5}))
    with pytest.raises(CheckpointError, match=f"the id {size + 5}, got {size}"):
        sentencepiece_tokenizer(folder)


@pytest.mark.parametrize(
    ("spoiled", "words"),
    [
        (model_file()[:-3], "ends in the middle"),
        (b"", "no pieces"),
        (b"\xff\xff\xff\xff", "SentencePiece model"),
        (model_file(kind=1), "another kind"),
        (model_file(plain=False), "another kind"),
    ],
    ids=["cut", "empty", "noise", "unigram", "normalised"],
)
def test_another_file_is_refused(folder: Path, spoiled: bytes, words: str) -> None:
    (folder / "tokenizer.model").write_bytes(spoiled)
    with pytest.raises(CheckpointError, match=words):
        sentencepiece_tokenizer(folder)

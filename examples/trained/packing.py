"""Questions about a scene behind one image: what is asked does not see what else is asked.

The image comes first, and attention is causal, so that its positions are the same for every
question: they are computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from mmflow_bench.inputs.forms import INSTRUCTION
from mmflow_bench.scenes.pictures import GRID

PATCHES = GRID * GRID
_IMAGE, _PADDING = 0, -1

Written = Callable[[str], str]
"""An answer in lower case -> as it is to be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Packed questions about several images, one image a row."""

    ids: Tensor
    """(row, position); those of the image are 0."""
    positions: Tensor
    """(row, position): every question begins right behind the image."""
    mask: Tensor
    """(row, 1, query, key): whether a position is seen."""
    read: Tensor
    """(question, 2): row and position of the last token of each prompt; the answer is next."""
    answers: Tensor
    """(question): the answer's token."""


def prompt_ids(tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """What follows the image, up to where the answer begins."""
    text = f"\n{question}{INSTRUCTION}\nAnswer:"
    return list(tokenizer.encode(text, add_special_tokens=False))


def answer_id(
    tokenizer: PreTrainedTokenizerBase, answer: str, written: Written = str.capitalize
) -> int:
    """The one token of an answer, capitalised as LLaVA's are or in another way."""
    ids = tokenizer.encode(f" {written(answer)}", add_special_tokens=False)
    if len(ids) != 1:
        raise ValueError(f"an answer of one token, got {answer!r}, which has {len(ids)}")
    return int(ids[0])


def pack(
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Sequence[tuple[str, str]]],
    written: Written = str.capitalize,
) -> Batch:
    """Questions with their answers, one sequence of them for each image."""
    packed = [_row(tokenizer, row, written) for row in rows]
    length = max(len(ids) for ids, *_ in packed)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions, segments = torch.zeros_like(ids), torch.full_like(ids, _PADDING)
    read, answers = [], []
    for index, (row_ids, row_positions, row_segments, ends) in enumerate(packed):
        size = len(row_ids)
        ids[index, :size] = torch.tensor(row_ids)
        positions[index, :size] = torch.tensor(row_positions)
        segments[index, :size] = torch.tensor(row_segments)
        read += [(index, end) for end in ends]
        answers += [row_ids[end + 1] for end in ends]
    return Batch(
        ids=ids,
        positions=positions,
        mask=_mask(segments),
        read=torch.tensor(read),
        answers=torch.tensor(answers),
    )


def _row(
    tokenizer: PreTrainedTokenizerBase, asked: Sequence[tuple[str, str]], written: Written
) -> tuple[list[int], list[int], list[int], list[int]]:
    ids = [tokenizer.bos_token_id, *[0] * PATCHES]
    begin = len(ids)
    positions, segments, ends = list(range(begin)), [_IMAGE] * begin, []
    for number, (question, answer) in enumerate(asked, 1):
        prompt = prompt_ids(tokenizer, question)
        ends.append(len(ids) + len(prompt) - 1)
        ids += [*prompt, answer_id(tokenizer, answer, written)]
        positions += range(begin, begin + len(prompt) + 1)
        segments += [number] * (len(prompt) + 1)
    return ids, positions, segments, ends


def _mask(segments: Tensor) -> Tensor:
    """Earlier positions of the image and of the same question."""
    query, key = segments[:, :, None], segments[:, None, :]
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    # A row that sees nothing would be NaN.
    seen = (causal & ((key == _IMAGE) | (key == query))) | torch.eye(length, dtype=torch.bool)
    return seen[:, None]

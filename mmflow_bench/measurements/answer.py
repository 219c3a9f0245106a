"""The model's answer to a sample, and which vocabulary entries stand for a word.

The probability that every knockout follows is that of the model's own first answer token (paper,
Sec. 4 "Evaluation"); a sample enters the curves only when the whole greedy answer is right. Beside
it goes that of the reference answer, for comparisons over all samples (docs/decisions/017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.wants import AnswerRow

SPARE_TOKENS = 4
"""Tokens decoded beyond the reference answer before an answer counts as longer than it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How the reference answer may begin, whatever the model answers by itself."""

    tokens: tuple[int, ...]
    """First tokens in lower case and capitalised, with and without a space before them."""
    token_id: int
    """The likeliest of them."""
    probability: float
    """Of all of them together, without any knockout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The greedy answer of one sample."""

    prediction: str
    """First line of the decoded answer, cut `SPARE_TOKENS` beyond the length of the reference."""
    is_correct: bool
    token_id: int
    """The model's own first answer token."""
    probability: float
    """Its probability without any knockout."""
    reference: Reference | None
    """None where the reference answer begins with no token that the vocabulary knows."""


def probabilities(logits: Float[Tensor, "*batch vocab"]) -> Float[Tensor, "*batch vocab"]:
    """Softmax over the vocabulary in float64, where a relative change of 1e-5 still has digits."""
    return torch.softmax(logits.double(), dim=-1)


def normalised_answer(text: str) -> str:
    """The form in which two answers are compared: case, outer space and a final stop removed.

    >>> normalised_answer(" Red.") == normalised_answer("red")
    True
    """
    return text.strip().rstrip(".").strip().casefold()


@torch.inference_mode()
def greedy_answer(checkpoint: LoadedCheckpoint, clean: CleanPass, sample: Sample) -> Answer:
    """The model's answer, decoded from the keys and values of the clean pass.

    An answer ends with the end token or its first line: a language model without chat training
    goes on with a next question. Decoding also stops a few tokens beyond the length of the
    reference: a longer answer is not equal to it, whatever follows.
    """
    token_id = int(clean.logits.argmax())
    accepted = (sample.answer, *sample.answers)
    forms = [form for answer in accepted for form in (answer, answer.capitalize())]
    encode = checkpoint.tokenizer.encode
    limit = max(len(encode(form, add_special_tokens=False)) for form in forms) + SPARE_TOKENS
    tokens = _decode(checkpoint, clean, token_id, limit)
    prediction = _text(checkpoint, tokens).partition("\n")[0].strip()
    chances = probabilities(clean.logits)
    return Answer(
        prediction=prediction,
        is_correct=normalised_answer(prediction) in map(normalised_answer, accepted),
        token_id=token_id,
        probability=float(chances[token_id]),
        reference=_reference(first_tokens(checkpoint, sample.answer), chances),
    )


def known_answer(checkpoint: LoadedCheckpoint, sample: Sample, row: AnswerRow) -> Answer:
    """The answer that a row of the store tells, without asking again."""
    token_id, chance = row["reference_token_id"], row["reference_probability"]
    reference = None
    if token_id is not None and chance is not None:
        tokens = tuple(sorted(first_tokens(checkpoint, sample.answer)))
        reference = Reference(tokens=tokens, token_id=token_id, probability=chance)
    return Answer(
        prediction=row["prediction"],
        is_correct=row["is_correct"],
        token_id=row["answer_token_id"],
        probability=row["base_probability"],
        reference=reference,
    )


def _reference(tokens: frozenset[int], chances: Float[Tensor, " vocab"]) -> Reference | None:
    if not tokens:
        return None
    ordered = tuple(sorted(tokens))
    found = chances[list(ordered)]
    likeliest = ordered[int(found.argmax())]
    return Reference(tokens=ordered, token_id=likeliest, probability=float(found.sum()))


def _decode(checkpoint: LoadedCheckpoint, clean: CleanPass, first: int, limit: int) -> list[int]:
    model, device = checkpoint.model, checkpoint.parts.device
    ends = _end_tokens(checkpoint)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(zip(clean.keys, clean.values, strict=True)):
        cache.update(keys[None], values[None], layer)
    tokens = [first]
    while tokens[-1] not in ends and len(tokens) < limit and "\n" not in _text(checkpoint, tokens):
        seen = clean.length + len(tokens)
        out = model(
            input_ids=torch.tensor([[tokens[-1]]], device=device),
            # With positions counted by rows and columns of images, the end is not the length.
            position_ids=clean.positions[..., None, -1:].to(device) + len(tokens),
            attention_mask=torch.ones(1, seen, dtype=torch.long, device=device),
            past_key_values=cache,
            use_cache=True,
        )
        tokens.append(int(out.logits[0, -1].argmax()))
    return [token for token in tokens if token not in ends]


def _text(checkpoint: LoadedCheckpoint, tokens: list[int]) -> str:
    return str(checkpoint.tokenizer.decode(tokens, skip_special_tokens=True)).lstrip()


def _end_tokens(checkpoint: LoadedCheckpoint) -> set[int]:
    """Every token that ends an answer: checkpoints name one or a list, the tokenizer another."""
    config = getattr(checkpoint.model, "generation_config", None)
    ends = getattr(config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return {end for end in [*listed, checkpoint.tokenizer.eos_token_id] if end is not None}


def case_variants(checkpoint: LoadedCheckpoint, word: str) -> Mapping[str, frozenset[int]]:
    """First tokens of a word in lower case and capitalised, with and without a space before it.

    Tokenizers differ in which of the forms a mid-layer state resembles, so a probe sums over all
    of them (docs/decisions/006). Tokens that both cases share, and unknown ones, are left out:
    they cannot tell the cases apart.

    Returns:
        `capitalized` and `noncapitalized` -> token ids, possibly empty.
    """
    lower = _first_tokens(checkpoint, word.lower())
    upper = _first_tokens(checkpoint, word.capitalize())
    return {"capitalized": upper - lower, "noncapitalized": lower - upper}


def first_tokens(checkpoint: LoadedCheckpoint, word: str) -> frozenset[int]:
    """First tokens of a word in either case and as it is written, with and without a space."""
    forms = (word, word.lower(), word.capitalize())
    return frozenset().union(*(_first_tokens(checkpoint, form) for form in forms))


def _first_tokens(checkpoint: LoadedCheckpoint, form: str) -> frozenset[int]:
    tokenizer = checkpoint.tokenizer
    space = set(tokenizer.encode(" ", add_special_tokens=False))
    found = set()
    for text in (form, f" {form}"):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        # Some tokenizers write a space before a word as a token of its own.
        found.update([token for token in tokens if token not in space][:1])
    return frozenset(found - {tokenizer.unk_token_id})

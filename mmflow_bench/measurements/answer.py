"""The model's answer to a sample, and which vocabulary entries stand for a word.

The probability that every knockout follows is that of the model's own first answer token (paper,
Sec. 4 "Evaluation"); a sample enters the curves only when the whole greedy answer is right. Beside
it goes that of the reference answer, for comparisons over all samples (docs/decisions/017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import NotFiniteError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.extending import cache_of, keeping
from mmflow_bench.interventions.readout import Readout
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.wants import Answer

SPARE_TOKENS = 4
"""Tokens decoded beyond the reference answer before an answer counts as longer than it."""
_PROBABILITIES_AT_ONCE = 2**22


def probabilities(
    logits: Float[Tensor, "*batch vocab"], *, of: str = "a forward pass"
) -> Float[Tensor, "*batch vocab"]:
    """Softmax over the vocabulary in float64, where a relative change of 1e-5 still has digits.

    None of them is NaN; `of` says what of.

    Raises:
        NotFiniteError: The logits have no softmax.
    """
    require_finite(logits, of)
    return torch.softmax(logits.double(), dim=-1)


def chances(
    logits: Float[Tensor, "row vocab"], groups: Sequence[Sequence[int]]
) -> Float[Tensor, "row group"]:
    """Of each group of tokens the probability that one of them comes; NaN where there is none.

    In float64 as `probabilities`, few rows at a time, since vocabularies are large.
    """
    at_once = max(1, _PROBABILITIES_AT_ONCE // logits.shape[-1])
    blocks = (torch.softmax(block.double(), dim=-1) for block in logits.split(at_once))
    return torch.cat(
        [
            torch.stack([block[:, list(group)].sum(dim=-1) for group in groups], dim=-1)
            for block in blocks
        ]
    )


def chances_of(groups: Sequence[Sequence[int]]) -> Readout:
    """Of the logits under interventions the `chances` of these groups of tokens are kept."""
    return Readout(read=partial(chances, groups=groups))


def require_finite(values: Float[Tensor, "*batch last"], of: str) -> None:
    """Refuse logits without a softmax, or chances of such; `of` says what of.

    Raises:
        NotFiniteError: There are some.
    """
    # The largest is NaN where any is; minus infinity is a token that the model suppresses.
    if not bool(values.amax(dim=-1).isfinite().all()):
        raise NotFiniteError(of)


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

    Raises:
        NotFiniteError: The logits of one of its tokens overflow.
    """
    of = f"the answer, sample {sample.question_id}"
    chances = probabilities(clean.logits, of=of)
    token_id = int(clean.logits.argmax())
    limit = answer_limit(checkpoint, sample)
    prediction = first_line(checkpoint, decoded(checkpoint, clean, limit=limit, of=of))
    reference = sorted(first_tokens(checkpoint, sample.answer))
    found = chances[reference]
    return {
        "prediction": prediction,
        "is_correct": is_accepted(prediction, sample),
        "answer_token_id": token_id,
        "base_probability": float(chances[token_id]),
        "reference_token_id": reference[int(found.argmax())] if reference else None,
        "reference_probability": float(found.sum()) if reference else None,
    }


def answer_limit(checkpoint: LoadedCheckpoint, sample: Sample) -> int:
    """Tokens after which an answer is longer than every accepted one."""
    forms = [form for answer in _accepted(sample) for form in (answer, answer.capitalize())]
    encode = checkpoint.tokenizer.encode
    return max(len(encode(form, add_special_tokens=False)) for form in forms) + SPARE_TOKENS


@torch.inference_mode()
def decoded(checkpoint: LoadedCheckpoint, clean: CleanPass, *, limit: int, of: str) -> list[int]:
    """Greedy tokens after a clean pass, at most `limit`, up to an end token or the first line's.

    Raises:
        NotFiniteError: The logits of one of them overflow; `of` says what they are of.
    """
    model, device = checkpoint.model, checkpoint.parts.device
    is_over = end_of_answers(checkpoint, limit=limit)
    kept = keeping(model, cache_of(clean))
    tokens = [int(clean.logits.argmax())]
    while not is_over(tokens):
        seen = clean.length + len(tokens)
        out = model(
            input_ids=torch.tensor([[tokens[-1]]], device=device),
            # With positions counted by rows and columns of images, the end is not the length.
            position_ids=clean.positions[..., None, -1:].to(device) + len(tokens),
            attention_mask=torch.ones(1, seen, dtype=torch.long, device=device),
            **kept,
            use_cache=True,
        )
        logits = out.logits[0, -1]
        require_finite(logits, of)
        tokens.append(int(logits.argmax()))
    return without_end(checkpoint, tokens)


def end_of_answers(checkpoint: LoadedCheckpoint, *, limit: int) -> Callable[[Sequence[int]], bool]:
    """Tells of the tokens of an answer whether they are all that is decoded of it."""
    ends = _end_tokens(checkpoint)

    def is_over(tokens: Sequence[int]) -> bool:
        is_ended = tokens[-1] in ends or len(tokens) >= limit
        return is_ended or "\n" in _text(checkpoint, tokens)

    return is_over


def without_end(checkpoint: LoadedCheckpoint, tokens: Sequence[int]) -> list[int]:
    """The tokens of an answer but those that end one."""
    ends = _end_tokens(checkpoint)
    return [token for token in tokens if token not in ends]


def is_accepted(prediction: str, sample: Sample) -> bool:
    """Whether an answer is one that the sample accepts, but for its form."""
    return normalised_answer(prediction) in map(normalised_answer, _accepted(sample))


def first_line(checkpoint: LoadedCheckpoint, tokens: Sequence[int]) -> str:
    """What some tokens of an answer say, outer space removed."""
    return _text(checkpoint, tokens).partition("\n")[0].strip()


def _accepted(sample: Sample) -> tuple[str, ...]:
    return (sample.answer, *sample.answers)


def _text(checkpoint: LoadedCheckpoint, tokens: Sequence[int]) -> str:
    return str(checkpoint.tokenizer.decode(list(tokens), skip_special_tokens=True)).lstrip()


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
    they cannot tell the cases apart. To the letter of the published program it is the first token
    of each case alone, without a space of its own.

    Returns:
        `capitalized` and `noncapitalized` -> token ids, possibly empty.
    """
    find = _published_token if checkpoint.spec.compat == "paper" else _first_tokens
    lower, upper = find(checkpoint, word.lower()), find(checkpoint, word.capitalize())
    return {"capitalized": upper - lower, "noncapitalized": lower - upper}


def first_tokens(checkpoint: LoadedCheckpoint, word: str) -> frozenset[int]:
    """First tokens of a word in either case and as it is written, with and without a space."""
    forms = (word, word.lower(), word.capitalize())
    return frozenset().union(*(_first_tokens(checkpoint, form) for form in forms))


def _published_token(checkpoint: LoadedCheckpoint, form: str) -> frozenset[int]:
    return frozenset(checkpoint.tokenizer.encode(form, add_special_tokens=False)[:1])


def _first_tokens(checkpoint: LoadedCheckpoint, form: str) -> frozenset[int]:
    tokenizer = checkpoint.tokenizer
    space = set(tokenizer.encode(" ", add_special_tokens=False))
    found = set()
    for text in (form, f" {form}"):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        # Some tokenizers write a space before a word as a token of its own.
        found.update([token for token in tokens if token not in space][:1])
    return frozenset(found - {tokenizer.unk_token_id})

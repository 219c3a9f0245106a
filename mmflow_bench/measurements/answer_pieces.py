"""The tokens of an answer, and the sample with them behind its prompt (docs/decisions/041)."""

from __future__ import annotations

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.errors import AnswerError
from mmflow_bench.interventions.extending import extended
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import decoded, first_line, normalised_answer


def answer_pieces(
    checkpoint: LoadedCheckpoint, clean: CleanPass, *, limit: int, of: str
) -> tuple[int, ...]:
    """The greedy answer up to the token with which it reads as it does in the end.

    So the last piece is the last sub-word of the answer: neither an end token nor the line break
    or full stop that some checkpoints end with. `limit` is the most tokens, `of` names the answer.

    Raises:
        NotFiniteError: The logits of one of them overflow.
    """
    tokens = decoded(checkpoint, clean, limit=limit, of=of)
    whole = normalised_answer(first_line(checkpoint, tokens))
    for count in range(1, len(tokens)):
        if normalised_answer(first_line(checkpoint, tokens[:count])) == whole:
            return tuple(tokens[:count])
    return tuple(tokens)


def teacher_forced(
    checkpoint: LoadedCheckpoint,
    clean: CleanPass,
    pieces: tuple[int, ...],
    *,
    fewest: int,
    reason: str,
    of: str,
) -> CleanPass:
    """The clean pass of the prompt and all pieces but the last, which its end predicts.

    Raises:
        AnswerError: There are fewer than `fewest` pieces; counted under `reason`.
        KnockoutError: The decoder cannot go on from its clean pass.
    """
    if len(pieces) < fewest:
        raise AnswerError(
            f"an answer of at least {fewest} tokens, got {len(pieces)} ({of}); its later tokens "
            "are left out",
            reason=reason,
        )
    return extended(checkpoint, clean, pieces[:-1])

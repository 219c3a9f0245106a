"""Long answers, measured: the image cut off every generated position in one pass per window."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.interventions.knockout import Knockout, layer_window
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.measurements.answer import first_line, probabilities
from mmflow_bench.measurements.answer_pieces import answer_pieces, teacher_forced
from mmflow_bench.measurements.long_answer import FEWEST_TOKENS, MOST_TOKENS, SHORT, LongAnswer
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.roles import Role
from mmflow_bench.positions.spans import object_spans


def long_answer_rows(wants: Sequence[LongAnswer], work: SampleAtWork) -> Rows:
    """A row for each later token and layer; an `unscored` row for a want without any."""
    rows: Rows = {}
    try:
        tokens = _tokens(work)
        forced = teacher_forced(
            work.checkpoint,
            work.clean,
            tokens,
            fewest=FEWEST_TOKENS,
            reason=SHORT,
            of=_name(work),
        )
        is_object = _names_object(work, tokens)
    except (KnockoutError, SampleError) as error:
        for want in wants:
            merge(rows, work.refused(want, error))
        return rows
    for want in wants:
        try:
            chances = _chances(want, work, forced, tokens)
        except (KnockoutError, SampleError) as error:
            merge(rows, work.refused(want, error))
            continue
        base, *by_layer = chances.tolist()
        rows[want.shard] = [
            {
                "sample": work.job.key_of(want),
                "token": token,
                "layer": layer,
                "names_object": is_object[token],
                "base_probability": base[token - 1],
                "knockout_probability": knocked[token - 1],
            }
            for token in range(1, len(tokens))
            for layer, knocked in enumerate(by_layer)
        ]
    return rows


def _name(work: SampleAtWork) -> str:
    return f"the long answer, sample {work.sample.question_id}"


def _tokens(work: SampleAtWork) -> tuple[int, ...]:
    """The whole answer; how long the reference is does not matter."""
    return answer_pieces(work.checkpoint, work.clean, limit=MOST_TOKENS, of=_name(work))


def _chances(
    want: LongAnswer, work: SampleAtWork, forced: CleanPass, tokens: Sequence[int]
) -> Float[Tensor, "window token"]:
    """Probabilities of the tokens after the first: clean, then under every window's knockout."""
    layers, width = work.checkpoint.decoder_layers, want.width or 1
    generating = tuple(range(work.clean.length - 1, forced.length))
    windows = [range(0), *(layer_window(center, width, layers) for center in range(layers))]
    image = work.roles[Role.IMAGE]
    knockouts = [Knockout(sources=image, targets=generating, layers=window) for window in windows]
    unembedding = work.checkpoint.parts.unembedding

    def read(hidden: Float[Tensor, "row position hidden"]) -> Float[Tensor, "row position"]:
        # One position at a time: logits of all would outweigh everything else in memory.
        return torch.stack(
            [
                probabilities(unembedding(hidden[:, place]), of=_name(work))[:, token]
                for place, token in enumerate(tokens[1:])
            ],
            dim=1,
        )

    return work.throttle.knockout_readings(forced, knockouts, positions=generating[1:], read=read)


def _names_object(work: SampleAtWork, tokens: Sequence[int]) -> list[bool]:
    """Of every token, whether it is part of the name of one of the sample's objects.

    A token stands for the characters that the text gains by it.
    """
    ends = [len(first_line(work.checkpoint, tokens[: i + 1])) for i in range(len(tokens))]
    text = first_line(work.checkpoint, tokens)
    spans = [span for name in work.sample.object_names for span in object_spans(text, name)]
    pairs = zip([0, *ends], ends, strict=False)
    return [any(max(a, start) < min(b, end) for a, b in spans) for start, end in pairs]

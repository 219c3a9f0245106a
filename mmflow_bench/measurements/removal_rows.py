"""Image removal measured: all layers of a sample at once, and their answers side by side.

That positions are gone from a layer on is a masked knockout of every edge from them, in the layers
from there on (`interventions.removal`): the windows of all first layers end together, so that one
growing batch has them, and its keys and values are what the answers go on from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from mmflow_bench.errors import KnockoutError, PositionError, SampleError
from mmflow_bench.interventions.continuing import Continuation, SuffixStates
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.removal import Removal
from mmflow_bench.measurements.answer import (
    answer_limit,
    end_of_answers,
    first_line,
    first_tokens,
    is_accepted,
    probabilities,
    without_end,
)
from mmflow_bench.measurements.blind_rows import TIE
from mmflow_bench.measurements.costs import Costs, decoder_costs
from mmflow_bench.measurements.removal import ImageRemoval, Removed, first_layers
from mmflow_bench.measurements.sample_rows import SampleAtWork, merge
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.role_positions import RolePositions
from mmflow_bench.positions.roles import Role


def removal_rows(wants: Sequence[ImageRemoval], work: SampleAtWork) -> Rows:
    """A row for each first layer and for the whole image; one `unscored` row where refused."""
    rows: Rows = {}
    for want in wants:
        try:
            rows[want.shard] = list(_rows(want, work))
        except (KnockoutError, SampleError) as error:
            merge(rows, work.refused(want, error))
    return rows


def removed_positions(
    roles: RolePositions, removed: Removed, *, question_id: str
) -> tuple[int, ...]:
    """Where what is removed stands in a sample.

    Raises:
        PositionError: The sample has no image, or of the unrelated nothing tells which they are.
    """
    image = roles[Role.IMAGE]
    if removed is Removed.IMAGE:
        return image
    related = frozenset(roles[Role.RELATED_PATCHES])
    if unrelated := tuple(position for position in image if position not in related):
        return unrelated
    raise PositionError(
        "image positions that show nothing of the objects asked about, got none (sample "
        f"{question_id}); it is left out of their removal",
        reason="empty-role",
    )


def answer_length(work: SampleAtWork) -> int:
    """Tokens of the clean answer: what any answer to the sample is taken to cost."""
    encode = work.checkpoint.tokenizer.encode
    return max(1, len(encode(work.answer["prediction"], add_special_tokens=False)))


def _rows(want: ImageRemoval, work: SampleAtWork) -> Iterator[dict[str, object]]:
    depth, question_id = work.checkpoint.decoder_layers, work.sample.question_id
    gone = removed_positions(work.roles, want.removed, question_id=question_id)
    layers = first_layers(depth)
    cuts = [Removal(positions=gone, layer=layer).knockout(work.clean) for layer in layers]
    states, key = SuffixStates(), work.job.key_of(want)
    logits = work.throttle.knockout_logits(work.clean, cuts, see=states.see)
    of = f"{want.name}, sample {question_id}"
    chances = probabilities(logits, of=of)
    predictions = _predictions(work, cuts, logits, states, of)
    reference = sorted(first_tokens(work.checkpoint, work.sample.answer))
    is_known = work.answer["reference_token_id"] is not None
    for layer, prediction, chance in zip(layers, predictions, chances, strict=True):
        first, second = chance.topk(2).values.tolist()
        yield {
            "sample": key,
            "first_layer": layer,
            "prediction": prediction,
            "is_correct": is_accepted(prediction, work.sample) and first - second > TIE,
            "removed_probability": float(chance[work.answer["answer_token_id"]]),
            "reference_probability": float(chance[reference].sum()) if is_known else None,
            **_costs(work, len(gone), layer)._asdict(),
        }
    yield {
        "sample": key,
        "first_layer": depth,
        "prediction": work.answer["prediction"],
        "is_correct": work.answer["is_correct"],
        "removed_probability": work.answer["base_probability"],
        "reference_probability": work.answer["reference_probability"],
        **_costs(work, 0, depth)._asdict(),
    }


def _costs(work: SampleAtWork, gone: int, layer: int) -> Costs:
    depth, length = work.checkpoint.decoder_layers, work.clean.length
    kept = [length] * layer + [length - gone] * (depth - layer)
    return decoder_costs(work.checkpoint, kept, answer_tokens=answer_length(work))


def _predictions(
    work: SampleAtWork,
    cuts: Sequence[Knockout],
    logits: Float[Tensor, "layer vocab"],
    states: SuffixStates,
    of: str,
) -> list[str]:
    """The greedy answer under each knockout; the clean one where it cuts nothing that is there."""
    first = dict(zip(cuts, logits.argmax(dim=-1).tolist(), strict=True))
    cutting = {cut: token for cut, token in first.items() if states.have(cut)}
    found = dict.fromkeys(cuts, work.answer["prediction"])
    if cutting:
        answers = _continued(work, cutting, states, of)
        for cut, tokens in zip(cutting, answers, strict=True):
            found[cut] = first_line(work.checkpoint, without_end(work.checkpoint, tokens))
    return [found[cut] for cut in cuts]


def _continued(
    work: SampleAtWork, first: Mapping[Knockout, int], states: SuffixStates, of: str
) -> list[list[int]]:
    """The tokens of the answer under each knockout, from its first one on."""
    going = Continuation(work.checkpoint, work.clean, list(first), states)
    limit = answer_limit(work.checkpoint, work.sample)
    is_over = end_of_answers(work.checkpoint, limit=limit)
    answers = [[token] for token in first.values()]
    while not all(over := [is_over(tokens) for tokens in answers]):
        following = going.logits([tokens[-1] for tokens in answers])
        # All go on together; what an answer that is over would say next is not looked at.
        for tokens, own, is_done in zip(answers, following, over, strict=True):
            if not is_done:
                probabilities(own, of=of)
                tokens.append(int(own.argmax()))
    return answers

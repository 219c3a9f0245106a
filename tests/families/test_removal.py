"""Images that are gone from a layer on, on every family, against generation that drops them."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.removal import PrunedAnswer, Removal
from mmflow_bench.measurements.answer import answer_limit, end_of_answers, first_line, without_end
from mmflow_bench.measurements.costs import decoder_costs
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.removal import ImageRemoval, Removed, first_layers
from mmflow_bench.measurements.wants import ANSWERS, UNSCORED
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

# Of names of arguments that transformers no longer uses.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")

WANTS = [ImageRemoval(removed=removed) for removed in Removed]


def _gone(encoded, checkpoint, removed):
    roles = resolve_roles(encoded, checkpoint)
    kept = roles[Role.RELATED_PATCHES] if removed is Removed.UNRELATED else ()
    return tuple(position for position in roles[Role.IMAGE] if position not in kept)


def _generated(checkpoint, sample, inputs, removal):
    """Greedy tokens without what is removed, and what has generated them."""
    answer = PrunedAnswer(checkpoint, inputs, [removal])
    tokens, is_over = (
        [int(answer.prompt_logits.argmax())],
        end_of_answers(checkpoint, limit=answer_limit(checkpoint, sample)),
    )
    while not is_over(tokens):
        tokens.append(int(answer.logits(tokens[-1]).argmax()))
    return tokens, answer


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_those_of_generation_that_drops_the_image(family_checkpoint, photo_sample, family):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    job = Job(sample=sample, key="own", wants=tuple(WANTS), keep_incorrect=True)
    (measured,) = measure(checkpoint, [job])
    assert UNSCORED not in measured.rows
    followed = measured.rows[ANSWERS][0]["answer_token_id"]
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    moved = 0.0
    for want in WANTS:
        gone = _gone(encoded, checkpoint, want.removed)
        *rows, whole = measured.rows[want.shard]
        assert [row["first_layer"] for row in rows] == list(first_layers(4)) == [1, 2, 3]
        assert whole["removed_probability"] == measured.rows[ANSWERS][0]["base_probability"]
        for row in rows:
            removal = Removal(positions=gone, layer=row["first_layer"])
            tokens, answer = _generated(checkpoint, sample, inputs, removal)
            chance = float(answer.prompt_logits.double().softmax(-1)[followed])
            assert row["removed_probability"] == pytest.approx(chance, rel=1e-5)
            assert row["prediction"] == first_line(checkpoint, without_end(checkpoint, tokens))
            moved = max(moved, abs(chance / whole["removed_probability"] - 1))
    # Windows of 9 end within an image of 16 positions: above the first layer nobody looks at it.
    assert (moved > 1e-3) == (family != "gemma3")


@pytest.mark.parametrize("family", ["gemma3", "llava_next", "qwen2_vl"])
def test_the_bytes_that_are_counted_are_those_that_are_kept(
    family_checkpoint, photo_sample, family
):
    checkpoint, sample = family_checkpoint(family), photo_sample(seed=0)
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    image, length = _gone(encoded, checkpoint, Removed.IMAGE), len(encoded.offsets)
    removal = Removal(positions=image, layer=3)
    tokens, answer = _generated(checkpoint, sample, inputs, removal)
    kept = [length] * 3 + [length - len(image)]
    # The last token has not been put in again.
    counted = decoder_costs(checkpoint, kept, answer_tokens=len(tokens) - 1)
    assert answer.cache_bytes == counted.cache_bytes


@torch.no_grad()
def test_operations_are_those_of_the_model_as_torch_counts_them(family_checkpoint, photo_sample):
    from torch.utils.flop_counter import FlopCounterMode

    checkpoint, sample = family_checkpoint("llava_next"), photo_sample(seed=0)
    encoded = encode(sample, checkpoint)
    length, decoder = len(encoded.offsets), checkpoint.parts.decoder
    embeddings = torch.randn(1, length, checkpoint.parts.text_config.hidden_size)
    with FlopCounterMode(display=False) as counter:
        decoder(inputs_embeds=embeddings, use_cache=False)
    linear = sum(
        count for kind, count in counter.get_flop_counts()["Global"].items() if "mm" in str(kind)
    )
    counted = decoder_costs(checkpoint, [length] * 4, answer_tokens=0).operations
    config = checkpoint.parts.text_config
    attention = 4 * 4 * (length * (length + 1) // 2) * config.hidden_size
    vocabulary = 2 * config.vocab_size * config.hidden_size
    assert counted - attention - vocabulary == linear
